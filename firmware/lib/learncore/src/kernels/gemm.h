// Matrix product of int8 weights and packed int16 columns: the inner loop of convolutions and fully
// connected layers. A column is one patch of the input, minus the input's zero point.
#pragma once

#include <stdint.h>

#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {

// Columns are multiplied in blocks of this many, so that each weight is loaded once for all.
constexpr int32_t kBlock = 4;

// Bytes of scratch for one block of columns of `depth` elements.
constexpr uint32_t ColumnBytes(uint32_t depth) {
  return (depth + 3) / 4 * 4 * static_cast<uint32_t>(sizeof(int16_t)) * kBlock;
}

struct GemmLayer {
  const int8_t* weights;  // rows x depth
  BiasReader bias;
  const FixedMultiplier* multipliers;  // rows
  const Requantization* requantization;
  int32_t rows;
  int32_t depth;
};

// The columns [start, start + lanes) to multiply next, out of `count`. The last block may go back
// over columns that are done: they are computed twice, to the same bytes.
struct ColumnBlock {
  int32_t start;
  int32_t lanes;  // 1 or kBlock
};
inline ColumnBlock NextBlock(int32_t done, int32_t count) {
  if (count < kBlock || done == count - 1) return {done, 1};
  return {Min(done, count - kBlock), kBlock};
}

// Packs `depth` bytes, minus zero_point, as column `lane` of `lanes`.
void PackColumn(const int8_t* from, int32_t depth, int32_t zero_point, int32_t lane, int32_t lanes,
                int16_t* columns);

// output[c * output_stride + r] = requantised weights[r] . column[c], for all packed lanes.
void MultiplyColumns(const GemmLayer& layer, const int16_t* columns, int32_t lanes, int8_t* output,
                     int32_t output_stride);

}  // namespace tinymia
