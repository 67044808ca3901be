// Matrix product of int8 weights and packed int16 columns: the inner loop of convolutions and fully
// connected layers. A column is one patch of the input, minus the input's zero point.
#pragma once

#include <stdint.h>

#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {

// Columns are multiplied in blocks of this many, so that each weight is loaded once for all.
constexpr int32_t kBlock = 6;
// A block of which at least this many columns are new is quicker than one column after the other.
constexpr int32_t kWorthABlock = 4;

// The elements of a column in memory.
constexpr uint32_t PackedDepth(uint32_t depth) { return (depth + 3) / 4 * 4; }

// Bytes of scratch for as many columns of `depth` elements as `count` are done in at once.
constexpr uint32_t ColumnBytes(uint32_t depth, uint32_t count) {
  return PackedDepth(depth) * static_cast<uint32_t>(sizeof(int16_t)) *
         (count < kBlock ? 1u : static_cast<uint32_t>(kBlock));
}

struct GemmLayer {
  const int8_t* weights;  // rows x depth
  BiasReader bias;
  ScaleReader scales;
  const Requantization* requantization;
  int32_t rows;
  int32_t depth;
  bool more_follows;  // whether three bytes behind the last row may be read
};

// The columns [start, start + lanes) to multiply next, out of `count`. The last block may go back
// over columns that are done: they are computed twice, to the same bytes.
struct ColumnBlock {
  int32_t start;
  int32_t lanes;  // 1 or kBlock
};
inline ColumnBlock NextBlock(int32_t done, int32_t count) {
  if (count < kBlock || count - done < kWorthABlock) return {done, 1};
  return {Min(done, count - kBlock), kBlock};
}

// Packs what lies in several pieces, one after the other, as one column out of `lanes`.
class ColumnPacker {
 public:
  ColumnPacker(int16_t* columns, int32_t lane, int32_t lanes, int32_t depth, int32_t zero_point);

  // `count` bytes, minus the zero point; a multiple of 4, but for the last piece.
  void Pack(const int8_t* from, int32_t count);
  // `count` zeros: padding. A multiple of 4.
  void Zeros(int32_t count);

 private:
  int16_t* to_;
  int32_t step_;
  int32_t zero_point_;
};

// output[c * output_stride + r] = requantised weights[r] . column[c], for all packed lanes.
void MultiplyColumns(const GemmLayer& layer, const int16_t* columns, int32_t lanes, int8_t* output,
                     int32_t output_stride);

}  // namespace tinymia
