// The matrix product with the Armv7E-M DSP instructions.
//
// Four weights w0..w3 are loaded as one word and widened to the pairs (w0, w2) and (w1, w3), so
// packed columns hold their elements in that order, too: 0 2 1 3, 4 6 5 7, ... With kBlock lanes
// the groups of four of all columns alternate, and one pointer walks through them. A column's last
// group is filled up with zeros: whatever weights meet them, the sum is right.
#include "kernels/gemm.h"
#include "kernels/gemm_block.h"
#include "kernels/requantize.h"

#if defined(TINYMIA_DSP)

namespace tinymia {
namespace {

// Up to four weights at `row`, with zeros for the others; never reads beyond them.
uint32_t LoadWeights(const int8_t* row, int32_t count) {
  if (count >= 4) return LoadWord(row);
  uint32_t word = 0;
  for (int32_t i = 0; i < count; ++i) {
    word |= static_cast<uint32_t>(static_cast<uint8_t>(row[i])) << (8 * i);
  }
  return word;
}

int8_t Finish(const GemmLayer& layer, int32_t r, int32_t sum) {
  return Requantize(WrapAdd(sum, layer.bias[r]), layer.scales[r], *layer.requantization);
}

// One row of a block: what MultiplyRows cannot do.
void MultiplyRow(const GemmLayer& layer, int32_t r, const int16_t* columns, int8_t* output,
                 int32_t stride) {
  const int8_t* row = layer.weights + r * layer.depth;
  int32_t sums[kBlock] = {};
  const int16_t* column = columns;
  for (int32_t i = 0; i < layer.depth; i += 4) {
    const uint32_t weights = LoadWeights(row + i, layer.depth - i);
    const uint32_t even = Sxtb16(weights);
    const uint32_t odd = Sxtb16Odd(weights);
    for (int32_t c = 0; c < kBlock; ++c, column += 4) {
      sums[c] = Smlad(LoadWord(column + 2), odd, Smlad(LoadWord(column), even, sums[c]));
    }
  }
  for (int32_t c = 0; c < kBlock; ++c) output[c * stride + r] = Finish(layer, r, sums[c]);
}

void MultiplyBlock(const GemmLayer& layer, const int16_t* columns, int8_t* output, int32_t stride) {
  const Requantization& q = *layer.requantization;
  const int32_t packed = static_cast<int32_t>(PackedDepth(static_cast<uint32_t>(layer.depth)));
  // The last group of a row may reach into what follows.
  const int32_t rows = packed == layer.depth || layer.more_follows ? layer.rows : layer.rows - 1;
  if (rows > 0) {
    static const int32_t kNoBias = 0;
    const bool biased = layer.bias.bytes() != nullptr;
    BlockRows block;
    block.bias = biased ? static_cast<const void*>(layer.bias.bytes()) : &kNoBias;
    block.doubled = layer.scales.doubled();
    block.output = output;
    block.bias_step = biased ? 4 : 0;
    block.shifts = layer.scales.shifts();
    block.stride = stride;
    block.output_end = output + rows;
    block.weights_back = packed - layer.depth;
    block.columns = columns;
    block.entry = nullptr;
    block.columns_end = columns + packed * kBlock;
    block.zero_point = q.output_zero_point;
    block.min = q.range.min;
    block.max = q.range.max;
    block.finish = !q.full_range() ? 2 : q.cuts_negative() ? 0 : 1;
    block.weights = layer.weights;
    MultiplyRows(&block);
  }
  for (int32_t r = q.quick ? rows : 0; r < layer.rows; ++r) {
    if (r < rows && layer.scales[r].quick()) continue;
    MultiplyRow(layer, r, columns, output, stride);
  }
}

bool Aligned(const void* at) { return (reinterpret_cast<uintptr_t>(at) & 3) == 0; }

// One column against as many rows as can be done two by two; returns how many. What Finish does,
// with all that does not change kept in registers: a store of a byte may change anything, for all
// that the compiler knows.
int32_t MultiplyPairs(const GemmLayer& layer, const int16_t* column, int8_t* output) {
  const Requantization& q = *layer.requantization;
  const int32_t depth = layer.depth;
  if ((depth & 3) != 0 || !Aligned(layer.weights) || !q.quick) return 0;
  const int32_t zero_point = q.output_zero_point;
  const ActivationRange range = q.range;
  const BiasReader bias = layer.bias;
  const ScaleReader scales = layer.scales;
  const int8_t* weights = layer.weights;
  const int32_t rows = layer.rows & ~1;
  for (int32_t r = 0; r < rows; r += 2, weights += 2 * depth) {
    const uint64_t sums = MultiplyTwoRows(weights, depth, column);
    const int32_t first = WrapAdd(static_cast<int32_t>(sums & 0xffffffffu), bias[r]);
    const int32_t second = WrapAdd(static_cast<int32_t>(sums >> 32), bias[r + 1]);
    const int32_t a = ApplyQuick(first, scales[r], zero_point);
    const int32_t b = ApplyQuick(second, scales[r + 1], zero_point);
    output[r] = static_cast<int8_t>(Clamp(a, range.min, range.max));
    output[r + 1] = static_cast<int8_t>(Clamp(b, range.min, range.max));
  }
  return rows;
}

void MultiplyOne(const GemmLayer& layer, const int16_t* column, int8_t* output) {
  const int32_t depth = layer.depth;
  for (int32_t r = MultiplyPairs(layer, column, output); r < layer.rows; ++r) {
    const int8_t* row = layer.weights + r * depth;
    int32_t sum = 0;
    for (int32_t i = 0; i < depth; i += 4) {
      const uint32_t weights = LoadWeights(row + i, depth - i);
      sum = Smlad(LoadWord(column + i), Sxtb16(weights), sum);
      sum = Smlad(LoadWord(column + i + 2), Sxtb16Odd(weights), sum);
    }
    output[r] = Finish(layer, r, sum);
  }
}

uint32_t Offset(int32_t zero_point) {
  return (static_cast<uint32_t>(-zero_point) & 0xffff) * 0x10001u;
}

// Packs groups of four bytes, added to `offset`, kStep halfwords apart.
template <int32_t kStep>
inline __attribute__((always_inline)) int16_t* PackGroups(const int8_t* from, int32_t groups,
                                                          uint32_t offset, int16_t* to) {
  const auto one = [&](const int8_t* at) {
    const uint32_t word = LoadWord(at);
    StorePair<kStep>(&to, Sxtab16(offset, word), Sxtab16Odd(offset, word));
  };
  if ((groups & 1) != 0) {
    one(from);
    from += 4;
  }
  if ((groups & 2) != 0) {
    one(from);
    one(from + 4);
    from += 8;
  }
  for (const int8_t* end = from + (groups >> 2) * 16; from != end; from += 16) {
    one(from);
    one(from + 4);
    one(from + 8);
    one(from + 12);
  }
  return to;
}

// Copies rows of kWords words, of which the last is not full; the last row's overlaps the one
// before it, so that nothing behind the row is read. At least four bytes a row.
template <int32_t kWords>
inline __attribute__((always_inline)) void GatherWords(const Patches& patches, const int8_t* from,
                                                       int8_t* to) {
  for (int32_t rows = patches.rows; rows > 1; --rows) {
    for (int32_t i = 0; i < kWords; ++i) StoreWord(to + 4 * i, LoadWord(from + 4 * i));
    from += patches.row_step;
    to += patches.bytes;
  }
  for (int32_t i = 0; i + 1 < kWords; ++i) StoreWord(to + 4 * i, LoadWord(from + 4 * i));
  const int32_t last = patches.bytes - 4;
  StoreWord(to + last, LoadWord(from + last));
}

template <int32_t kWords>
__attribute__((noinline)) void GatherBlock(const Patches& patches, const int8_t* first,
                                           int32_t step, int32_t groups, int8_t* row,
                                           int16_t* columns) {
  const Patches local = patches;
  const uint32_t offset = Offset(local.zero_point);
  for (int32_t lane = 0; lane < kBlock; ++lane, first += step, columns += 4) {
    GatherWords<kWords>(local, first, row);
    PackGroups<4 * kBlock>(row, groups, offset, columns);
  }
}

template <int32_t kStep>
int16_t* Zeros(int32_t bytes, int16_t* to) {
  for (; bytes > 0; bytes -= 4) StorePair<kStep>(&to, 0, 0);
  return to;
}

template <int32_t kStep>
void PackRows(const Patches& patches, const int8_t* first, const Inside& inside, uint32_t offset,
              int16_t* to) {
  const int32_t groups = (inside.right - inside.left) >> 2;
  to = Zeros<kStep>(inside.top * patches.bytes, to);
  for (int32_t y = inside.top; y < inside.bottom; ++y, first += patches.row_step) {
    to = Zeros<kStep>(inside.left, to);
    to = PackGroups<kStep>(first, groups, offset, to);
    to = Zeros<kStep>(patches.bytes - inside.right, to);
  }
  Zeros<kStep>((patches.rows - inside.bottom) * patches.bytes, to);
}

}  // namespace

void PackColumn(const int8_t* from, int32_t depth, int32_t zero_point, int32_t lane, int32_t lanes,
                int16_t* columns) {
  const uint32_t offset = Offset(zero_point);
  int16_t* to = columns + 4 * lane;
  const int32_t groups = depth >> 2;
  to = lanes == 1 ? PackGroups<4>(from, groups, offset, to)
                  : PackGroups<4 * kBlock>(from, groups, offset, to);
  const int32_t rest = depth & 3;
  if (rest == 0) return;
  from += depth - rest;
  // Element i of a group goes to place 0, 2, 1, 3.
  to[0] = static_cast<int16_t>(from[0] - zero_point);
  to[2] = rest > 1 ? static_cast<int16_t>(from[1] - zero_point) : static_cast<int16_t>(0);
  to[1] = rest > 2 ? static_cast<int16_t>(from[2] - zero_point) : static_cast<int16_t>(0);
  to[3] = 0;
}

void PackGathered(const int8_t* from, int32_t depth, int32_t zero_point, int32_t lane,
                  int32_t lanes, int16_t* columns) {
  const uint32_t offset = Offset(zero_point);
  const int32_t groups = (depth + 3) >> 2;
  int16_t* to = columns + 4 * lane;
  if (lanes == 1) {
    PackGroups<4>(from, groups, offset, to);
  } else {
    PackGroups<4 * kBlock>(from, groups, offset, to);
  }
}

bool PackGatheredBlock(const Patches& patches, const int8_t* first, int32_t step, int8_t* row,
                       int16_t* columns) {
  const int32_t groups = (patches.rows * patches.bytes + 3) >> 2;
  switch (patches.bytes < 4 ? 0 : (patches.bytes + 3) >> 2) {
    case 1:
      GatherBlock<1>(patches, first, step, groups, row, columns);
      return true;
    case 2:
      GatherBlock<2>(patches, first, step, groups, row, columns);
      return true;
    case 3:
      GatherBlock<3>(patches, first, step, groups, row, columns);
      return true;
    default:
      return false;
  }
}

void PackPatch(const Patches& patches, const int8_t* first, const Inside& inside, int32_t lane,
               int32_t lanes, int16_t* columns) {
  const uint32_t offset = Offset(patches.zero_point);
  int16_t* to = columns + 4 * lane;
  if (lanes == 1) {
    PackRows<4>(patches, first, inside, offset, to);
  } else {
    PackRows<4 * kBlock>(patches, first, inside, offset, to);
  }
}

void PackColumns(const int8_t* from, int32_t step, int32_t depth, int32_t zero_point, int32_t lanes,
                 int16_t* columns) {
  if (lanes == 1 || (depth & 3) != 0) {
    for (int32_t lane = 0; lane < lanes; ++lane, from += step) {
      PackColumn(from, depth, zero_point, lane, lanes, columns);
    }
    return;
  }
  const uint32_t offset = Offset(zero_point);
  for (int32_t lane = 0; lane < kBlock; ++lane, from += step, columns += 4) {
    PackGroups<4 * kBlock>(from, depth >> 2, offset, columns);
  }
}

void MultiplyColumns(const GemmLayer& layer, const int16_t* columns, int32_t lanes, int8_t* output,
                     int32_t output_stride) {
  if (lanes == 1) {
    MultiplyOne(layer, columns, output);
  } else {
    MultiplyBlock(layer, columns, output, output_stride);
  }
}

}  // namespace tinymia

#endif
