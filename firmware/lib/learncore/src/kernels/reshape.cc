// RESHAPE, EXPAND_DIMS, SQUEEZE: the same bytes under another shape, so nothing to evaluate. The
// file states the output's shape; the operands that describe it a second time are not read.
#include "kernels/kernel.h"

namespace tinymia {
namespace {

Status Prepare(PrepareContext* context) {
  Tensor input, output;
  context->TakeAnyRank();
  Status status = context->UseInput(0, 0, &input);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  return input.elements == output.elements ? Status::kOk : Status::kModelUnsupportedShape;
}

}  // namespace

extern const Kernel kReshapeKernel;
extern const Kernel kExpandDimsKernel;
extern const Kernel kSqueezeKernel;
const Kernel kReshapeKernel = {BuiltinOp::kReshape, Prepare, nullptr, Takes::kBoth};
const Kernel kExpandDimsKernel = {BuiltinOp::kExpandDims, Prepare, nullptr, Takes::kBoth};
const Kernel kSqueezeKernel = {BuiltinOp::kSqueeze, Prepare, nullptr, Takes::kBoth};

}  // namespace tinymia
