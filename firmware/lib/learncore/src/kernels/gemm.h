// Matrix product of int8 weights and packed int16 columns: the inner loop of convolutions and fully
// connected layers. A column is one patch of the input, minus the input's zero point.
#pragma once

#include <stdint.h>

#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {

// Columns are multiplied in blocks of this many, so that each weight is loaded once for all; what
// is left of them in half blocks or one by one.
constexpr int32_t kBlock = 6;
constexpr int32_t kHalfBlock = 3;
// Blocks of which at least this many columns are new are quicker than the next smaller ones.
constexpr int32_t kWorthABlock = 4;
constexpr int32_t kWorthAHalf = 2;

// The elements of a column in memory.
constexpr uint32_t PackedDepth(uint32_t depth) { return (depth + 3) / 4 * 4; }

// Bytes of scratch for as many columns of `depth` elements as `count` are done in at once.
constexpr uint32_t ColumnBytes(uint32_t depth, uint32_t count) {
  return PackedDepth(depth) * static_cast<uint32_t>(sizeof(int16_t)) *
         static_cast<uint32_t>(count < kHalfBlock ? 1
                               : count < kBlock   ? kHalfBlock
                                                  : kBlock);
}

struct GemmLayer {
  const int8_t* weights;  // rows x depth
  BiasReader bias;
  ScaleReader scales;
  const Requantization* requantization;
  int32_t rows;
  int32_t depth;
  bool more_follows;  // whether three bytes behind the last row may be read
#if defined(TINYMIA_PACKED_ROWS)
  const uint8_t* packed = nullptr;  // the same, as gemm_rows.h lays it out; nullptr: it is not
#endif
};

// The columns [start, start + lanes) to multiply next, out of `count`. The last block may go back
// over columns that are done: they are computed twice, to the same bytes.
struct ColumnBlock {
  int32_t start;
  int32_t lanes;  // 1, kHalfBlock or kBlock
};
inline ColumnBlock NextBlock(int32_t done, int32_t count) {
  const int32_t left = count - done;
  if (count >= kBlock && left >= kWorthABlock) return {Min(done, count - kBlock), kBlock};
  if (count >= kHalfBlock && left >= kWorthAHalf) {
    return {Min(done, count - kHalfBlock), kHalfBlock};
  }
  return {done, 1};
}

// Packs `depth` bytes, minus zero_point, as column `lane` of `lanes`.
void PackColumn(const int8_t* from, int32_t depth, int32_t zero_point, int32_t lane, int32_t lanes,
                int16_t* columns);
// The same, where as many bytes as fill a group of four follow, which are the zero point.
void PackGathered(const int8_t* from, int32_t depth, int32_t zero_point, int32_t lane,
                  int32_t lanes, int16_t* columns);
// Packs all lanes, whose bytes lie `step` apart.
void PackColumns(const int8_t* from, int32_t step, int32_t depth, int32_t zero_point, int32_t lanes,
                 int16_t* columns);

// A filter's patch in an image: rows of taps that are neighbours. Every row's bytes are a multiple
// of four, and so are those of the padding left and right of the image.
struct Patches {
  int32_t rows;
  int32_t bytes;     // of one row
  int32_t row_step;  // in the image
  int32_t zero_point;
};
// Gathers and packs neighbouring lanes of a block, patches that are in the image, whose first bytes
// lie `step` apart. `row` has room for a patch and four bytes, the ones behind the patch are the
// zero point. False: no quick way for such patches; nothing is done.
bool PackGatheredLanes(const Patches& patches, const int8_t* first, int32_t step, int32_t lanes,
                       int8_t* row, int16_t* columns);
// What of a patch is in the image: rows [top, bottom) of it, bytes [left, right) of each.
struct Inside {
  int32_t top, bottom, left, right;
};
// Packs a patch, of which `first` is the first byte that is inside, with zeros where it is outside.
void PackPatch(const Patches& patches, const int8_t* first, const Inside& inside, int32_t lane,
               int32_t lanes, int16_t* columns);

// output[c * output_stride + r] = requantised weights[r] . column[c], for all packed lanes.
void MultiplyColumns(const GemmLayer& layer, const int16_t* columns, int32_t lanes, int8_t* output,
                     int32_t output_stride);

}  // namespace tinymia
