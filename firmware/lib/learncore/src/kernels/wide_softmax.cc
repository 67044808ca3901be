// SOFTMAX, int8 to int16.
#include "kernels/softmax.h"

namespace tinymia {
namespace {

TINYMIA_AT_LOAD Status Prepare(PrepareContext* context) {
  constexpr float kStep = 1.0f / 65536;
  return PrepareSoftmax(context, TensorType::kInt16, INT16_MIN, kStep, 0.001f * kStep);
}

}  // namespace

extern const Kernel kWideSoftmaxKernel;
const Kernel kWideSoftmaxKernel = {BuiltinOp::kSoftmax, Prepare, EvalSoftmax<int16_t>,
                                   Takes::kInt16};

}  // namespace tinymia
