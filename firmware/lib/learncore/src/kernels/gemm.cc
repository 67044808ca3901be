#include "kernels/gemm.h"

#include "kernels/gemm_rows.h"
#include "kernels/requantize.h"

namespace tinymia {

#if !defined(TINYMIA_DSP)

void PackColumn(const int8_t* from, int32_t depth, int32_t zero_point, int32_t lane,
                int32_t /*lanes*/, int16_t* columns) {
  int16_t* to = columns + lane * depth;
  for (int32_t i = 0; i < depth; ++i) to[i] = static_cast<int16_t>(from[i] - zero_point);
}

void PackGathered(const int8_t* from, int32_t depth, int32_t zero_point, int32_t lane,
                  int32_t lanes, int16_t* columns) {
  PackColumn(from, depth, zero_point, lane, lanes, columns);
}

bool PackGatheredLanes(const Patches& /*patches*/, const int8_t* /*first*/, int32_t /*step*/,
                       int32_t /*lanes*/, int8_t* /*row*/, int16_t* /*columns*/) {
  return false;
}

void PackPatch(const Patches& patches, const int8_t* first, const Inside& inside, int32_t lane,
               int32_t /*lanes*/, int16_t* columns) {
  int16_t* to = columns + lane * patches.rows * patches.bytes;
  for (int32_t y = 0; y < patches.rows; ++y) {
    const bool there = y >= inside.top && y < inside.bottom;
    for (int32_t i = 0; i < patches.bytes; ++i) {
      const bool in = there && i >= inside.left && i < inside.right;
      *to++ = in ? static_cast<int16_t>(first[i - inside.left] - patches.zero_point)
                 : static_cast<int16_t>(0);
    }
    if (there) first += patches.row_step;
  }
}

void MultiplyColumns(const GemmLayer& layer, const int16_t* columns, int32_t lanes, int8_t* output,
                     int32_t output_stride) {
  const int32_t depth = layer.depth;
#if defined(TINYMIA_PACKED_ROWS)
  if (layer.packed != nullptr) {
    MultiplyPacked(layer.packed, *layer.requantization, layer.rows, depth, columns, lanes, output,
                   output_stride);
    return;
  }
#endif
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

void PackColumns(const int8_t* from, int32_t step, int32_t depth, int32_t zero_point, int32_t lanes,
                 int16_t* columns) {
  for (int32_t lane = 0; lane < lanes; ++lane, from += step) {
    PackColumn(from, depth, zero_point, lane, lanes, columns);
  }
}

#endif

}  // namespace tinymia
