#include "kernels/broadcast.h"

#include "fixedpoint.h"

namespace tinymia {
namespace {

// Right-aligned dimension i of four.
int32_t Dim(const Tensor& tensor, int32_t i) {
  const int32_t at = i - (4 - tensor.rank);
  return at < 0 ? 1 : tensor.dims[at];
}

}  // namespace

TINYMIA_AT_LOAD Status PrepareBroadcast(const Tensor* inputs, const Tensor& output, Broadcast* p) {
  if (output.rank != Max(inputs[0].rank, inputs[1].rank)) return Status::kModelUnsupportedShape;
  int32_t accumulated[2] = {1, 1};
  for (int32_t i = 3; i >= 0; --i) {
    const int32_t a = Dim(inputs[0], i);
    const int32_t b = Dim(inputs[1], i);
    if (a != b && a != 1 && b != 1) return Status::kModelUnsupportedShape;
    p->dims[i] = Max(a, b);
    if (Dim(output, i) != p->dims[i]) return Status::kModelUnsupportedShape;
    for (int32_t k = 0; k < 2; ++k) {
      const int32_t dim = Dim(inputs[k], i);
      p->strides[k][i] = dim == 1 ? 0 : accumulated[k];
      accumulated[k] *= dim;
    }
  }
  if (SameShape(inputs[0], inputs[1])) {  // one flat loop
    p->dims[0] = p->dims[1] = p->dims[2] = 1;
    p->dims[3] = static_cast<int32_t>(output.elements);
    p->strides[0][3] = p->strides[1][3] = 1;
  }
  return Status::kOk;
}

}  // namespace tinymia
