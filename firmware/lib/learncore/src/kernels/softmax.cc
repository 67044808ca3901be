// SOFTMAX, int8 to int8.
#include "kernels/softmax.h"

namespace tinymia {
namespace {

TINYMIA_AT_LOAD Status Prepare(PrepareContext* context) {
  return PrepareSoftmax(context, TensorType::kInt8, INT8_MIN, 1.0f / 256, 0.0f);
}

}  // namespace

extern const Kernel kSoftmaxKernel;
const Kernel kSoftmaxKernel = {BuiltinOp::kSoftmax, Prepare, EvalSoftmax<int8_t>};

}  // namespace tinymia
