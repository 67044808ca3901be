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
  const Requantization& q = *layer.requantization;
  if (!q.fast) return Requantize(WrapAdd(sum, layer.bias[r]), layer.multipliers[r], q);
  const FastMultiplier fast(layer.multipliers[r], q.output_zero_point);
  const int32_t value = SaturateToInt8(fast.Apply(sum + layer.bias[r]));
  if (q.full_range()) return static_cast<int8_t>(value);
  return static_cast<int8_t>(Clamp(value, q.range.min, q.range.max));
}

// Rows [first, layer.rows) of a block, one by one: those that MultiplyRows cannot do.
void MultiplyRemainingRows(const GemmLayer& layer, int32_t first, const int16_t* columns,
                           int8_t* output, int32_t stride) {
  for (int32_t r = first; r < layer.rows; ++r) {
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
}

void MultiplyBlock(const GemmLayer& layer, const int16_t* columns, int8_t* output, int32_t stride) {
  const Requantization& q = *layer.requantization;
  // The last group of a row may reach into the next row, so the last row is not for MultiplyRows.
  const int32_t quick = !q.fast ? 0 : (layer.depth & 3) == 0 ? layer.rows : layer.rows - 1;
  if (quick > 0) {
    static const int32_t kNoBias = 0;
    const int32_t groups = (layer.depth + 3) >> 2;
    BlockRows rows;
    rows.bias = layer.bias.bytes() == nullptr ? static_cast<const void*>(&kNoBias)
                                              : static_cast<const void*>(layer.bias.bytes());
    rows.bias_step = layer.bias.bytes() == nullptr ? 0 : 4;
    rows.multipliers = layer.multipliers;
    rows.output = output;
    rows.columns = columns;
    rows.groups = groups;
    rows.doubled_zero_point = q.output_zero_point * 2 + 1;
    rows.stride = stride;
    rows.weights_back = 4 * groups - layer.depth;
    rows.rows = quick;
    rows.min = q.range.min;
    rows.max = q.range.max;
    rows.weights = layer.weights;
    rows.clamp = q.full_range() ? 0 : 1;
    MultiplyRows(&rows);
  }
  MultiplyRemainingRows(layer, quick, columns, output, stride);
}

// One column against four rows at a time.
void MultiplyOne(const GemmLayer& layer, const int16_t* column, int8_t* output) {
  const int32_t depth = layer.depth;
  const int32_t whole = depth & ~3;
  int32_t r = 0;
  for (; r + 4 <= layer.rows; r += 4) {
    const int8_t* row = layer.weights + r * depth;
    const int16_t* x = column;
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (const int8_t* end = row + whole; row != end; row += 4, x += 4) {
      const uint32_t even = LoadWord(x);
      const uint32_t odd = LoadWord(x + 2);
      const uint32_t w0 = LoadWord(row);
      s0 = Smlad(odd, Sxtb16Odd(w0), Smlad(even, Sxtb16(w0), s0));
      const uint32_t w1 = LoadWord(row + depth);
      s1 = Smlad(odd, Sxtb16Odd(w1), Smlad(even, Sxtb16(w1), s1));
      const uint32_t w2 = LoadWord(row + 2 * depth);
      s2 = Smlad(odd, Sxtb16Odd(w2), Smlad(even, Sxtb16(w2), s2));
      const uint32_t w3 = LoadWord(row + 3 * depth);
      s3 = Smlad(odd, Sxtb16Odd(w3), Smlad(even, Sxtb16(w3), s3));
    }
    int32_t sums[4] = {s0, s1, s2, s3};
    for (int32_t i = 0; i < 4; ++i, row += depth) {
      if (whole != depth) {
        const uint32_t weights = LoadWeights(row, depth - whole);
        sums[i] = Smlad(LoadWord(x), Sxtb16(weights), sums[i]);
        sums[i] = Smlad(LoadWord(x + 2), Sxtb16Odd(weights), sums[i]);
      }
      output[r + i] = Finish(layer, r + i, sums[i]);
    }
  }
  for (; r < layer.rows; ++r) {
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

}  // namespace

void PackColumn(const int8_t* from, int32_t depth, int32_t zero_point, int32_t lane, int32_t lanes,
                int16_t* columns) {
  const uint32_t offset = (static_cast<uint32_t>(-zero_point) & 0xffff) * 0x10001u;
  int16_t* to = columns + 4 * lane;
  const int32_t step = 4 * lanes;
  for (const int8_t* end = from + (depth & ~3); from != end; from += 4, to += step) {
    const uint32_t word = LoadWord(from);
    StorePair(to, Sxtab16(offset, word), Sxtab16Odd(offset, word));
  }
  const int32_t rest = depth & 3;
  if (rest == 0) return;
  // Element i of a group goes to place 0, 2, 1, 3.
  to[0] = static_cast<int16_t>(from[0] - zero_point);
  to[2] = rest > 1 ? static_cast<int16_t>(from[1] - zero_point) : static_cast<int16_t>(0);
  to[1] = rest > 2 ? static_cast<int16_t>(from[2] - zero_point) : static_cast<int16_t>(0);
  to[3] = 0;
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
