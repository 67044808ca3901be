#include "kernels/gemm.h"

#include "kernels/requantize.h"

namespace tinymia {

#if !defined(TINYMIA_DSP)

ColumnPacker::ColumnPacker(int16_t* columns, int32_t lane, int32_t /*lanes*/, int32_t depth,
                           int32_t zero_point)
    : to_(columns + lane * depth), step_(0), zero_point_(zero_point) {}

void ColumnPacker::Pack(const int8_t* from, int32_t count) {
  for (int32_t i = 0; i < count; ++i) to_[i] = static_cast<int16_t>(from[i] - zero_point_);
  to_ += count;
}

void ColumnPacker::Zeros(int32_t count) {
  for (int32_t i = 0; i < count; ++i) to_[i] = 0;
  to_ += count;
}

void MultiplyColumns(const GemmLayer& layer, const int16_t* columns, int32_t lanes, int8_t* output,
                     int32_t output_stride) {
  const int32_t depth = layer.depth;
  for (int32_t r = 0; r < layer.rows; ++r) {
    const int8_t* weights = layer.weights + r * depth;
    const int32_t bias = layer.bias[r];
    for (int32_t c = 0; c < lanes; ++c) {
      const int16_t* column = columns + c * depth;
      int32_t sum = 0;
      for (int32_t i = 0; i < depth; ++i) sum += weights[i] * column[i];
      output[c * output_stride + r] =
          Requantize(WrapAdd(sum, bias), layer.scales[r], *layer.requantization);
    }
  }
}

#endif

}  // namespace tinymia
