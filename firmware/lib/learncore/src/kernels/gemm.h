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

// Packs `depth` bytes, minus zero_point, as column `lane` of `lanes` (1 or kBlock).
void PackColumn(const int8_t* from, int32_t depth, int32_t zero_point, int32_t lane, int32_t lanes,
                int16_t* columns);

// output[c * output_stride + r] = requantised weights[r] . column[c], for `count` <= kBlock columns
// that were packed with lanes = GemmLanes(count).
void MultiplyColumns(const GemmLayer& layer, const int16_t* columns, int32_t count, int8_t* output,
                     int32_t output_stride);

constexpr int32_t GemmLanes(int32_t count) { return count == 1 ? 1 : kBlock; }

}  // namespace tinymia
