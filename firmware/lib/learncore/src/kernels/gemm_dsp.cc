// The matrix product with the Armv7E-M DSP instructions.
//
// Four weights w0..w3 are loaded as one word and widened to the pairs (w0, w2) and (w1, w3), so
// packed columns hold their elements in that order, too: 0 2 1 3, 4 6 5 7, ... With kBlock lanes
// the groups of four of all columns alternate, and one pointer walks through them.
#include "kernels/gemm.h"
#include "kernels/requantize.h"

#if defined(TINYMIA_DSP)

namespace tinymia {
namespace {

// The last 1..3 weights of a row as a word with zeros above; never reads beyond the row.
uint32_t LoadTail(const int8_t* row, int32_t depth) {
  const int32_t rest = depth & 3;
  if (depth >= 4) return LoadWord(row + depth - 4) >> (8 * (4 - rest));
  uint32_t word = 0;
  for (int32_t i = 0; i < rest; ++i) {
    word |= static_cast<uint32_t>(static_cast<uint8_t>(row[i])) << (8 * i);
  }
  return word;
}

struct BlockSums {
  int32_t s0, s1, s2, s3;
};

// Adds four products to each of the four sums.
inline void MultiplyGroup(uint32_t weights, const int16_t* column, BlockSums* sums) {
  const uint32_t even = Sxtb16(weights);
  const uint32_t odd = Sxtb16Odd(weights);
  sums->s0 = Smlad(LoadWord(column + 2), odd, Smlad(LoadWord(column), even, sums->s0));
  sums->s1 = Smlad(LoadWord(column + 6), odd, Smlad(LoadWord(column + 4), even, sums->s1));
  sums->s2 = Smlad(LoadWord(column + 10), odd, Smlad(LoadWord(column + 8), even, sums->s2));
  sums->s3 = Smlad(LoadWord(column + 14), odd, Smlad(LoadWord(column + 12), even, sums->s3));
}

#if defined(TINYMIA_DSP_NATIVE)

// `groups` >= 1 groups of four weights times four columns. In assembly for the loads of four words
// at once, which compilers do not form: 13 instructions for 16 products.
inline void MultiplyGroups(const int8_t* row, const int16_t* columns, int32_t groups,
                           BlockSums* sums) {
  register int32_t s0 asm("r0") = sums->s0;
  register int32_t s1 asm("r1") = sums->s1;
  register int32_t s2 asm("r2") = sums->s2;
  register int32_t s3 asm("r3") = sums->s3;
  asm volatile(
      "lsrs %[n], %[n], #1\n\t"
      "bcc 2f\n\t"
      "ldr r9, [%[w]], #4\n\t"
      "ldmia %[x]!, {r4, r5, r6, r8}\n\t"
      "sxtb16 r10, r9\n\t"
      "sxtb16 r9, r9, ror #8\n\t"
      "smlad r0, r4, r10, r0\n\t"
      "smlad r0, r5, r9, r0\n\t"
      "smlad r1, r6, r10, r1\n\t"
      "smlad r1, r8, r9, r1\n\t"
      "ldmia %[x]!, {r4, r5, r6, r8}\n\t"
      "smlad r2, r4, r10, r2\n\t"
      "smlad r2, r5, r9, r2\n\t"
      "smlad r3, r6, r10, r3\n\t"
      "smlad r3, r8, r9, r3\n\t"
      "cbz %[n], 3f\n\t"
      "2:\n\t"
      "ldr r9, [%[w]], #4\n\t"
      "ldmia %[x]!, {r4, r5, r6, r8}\n\t"
      "sxtb16 r10, r9\n\t"
      "sxtb16 r9, r9, ror #8\n\t"
      "smlad r0, r4, r10, r0\n\t"
      "smlad r0, r5, r9, r0\n\t"
      "smlad r1, r6, r10, r1\n\t"
      "smlad r1, r8, r9, r1\n\t"
      "ldmia %[x]!, {r4, r5, r6, r8}\n\t"
      "smlad r2, r4, r10, r2\n\t"
      "smlad r2, r5, r9, r2\n\t"
      "smlad r3, r6, r10, r3\n\t"
      "smlad r3, r8, r9, r3\n\t"
      "ldr r9, [%[w]], #4\n\t"
      "ldmia %[x]!, {r4, r5, r6, r8}\n\t"
      "sxtb16 r10, r9\n\t"
      "sxtb16 r9, r9, ror #8\n\t"
      "smlad r0, r4, r10, r0\n\t"
      "smlad r0, r5, r9, r0\n\t"
      "smlad r1, r6, r10, r1\n\t"
      "smlad r1, r8, r9, r1\n\t"
      "ldmia %[x]!, {r4, r5, r6, r8}\n\t"
      "smlad r2, r4, r10, r2\n\t"
      "smlad r2, r5, r9, r2\n\t"
      "smlad r3, r6, r10, r3\n\t"
      "smlad r3, r8, r9, r3\n\t"
      "subs %[n], %[n], #1\n\t"
      "bne 2b\n\t"
      "3:\n\t"
      : "+r"(s0), "+r"(s1), "+r"(s2), "+r"(s3), [w] "+r"(row), [x] "+r"(columns), [n] "+l"(groups)
      :
      : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
  *sums = {s0, s1, s2, s3};
}

#else

inline void MultiplyGroups(const int8_t* row, const int16_t* columns, int32_t groups,
                           BlockSums* sums) {
  for (int32_t i = 0; i < groups; ++i) {
    MultiplyGroup(LoadWord(row + 4 * i), columns + 4 * kBlock * i, sums);
  }
}

#endif

inline void StoreBlock(const GemmLayer& layer, int32_t r, const BlockSums& sums, int32_t count,
                       int8_t* output, int32_t stride) {
  const Requantization& q = *layer.requantization;
  const FixedMultiplier& multiplier = layer.multipliers[r];
  const int32_t bias = layer.bias[r];
  const int32_t all[kBlock] = {sums.s0, sums.s1, sums.s2, sums.s3};
  if (!q.fast) {
    for (int32_t c = 0; c < count; ++c) {
      output[c * stride] = Requantize(WrapAdd(all[c], bias), multiplier, q);
    }
    return;
  }
  const FastMultiplier fast(multiplier, q.output_zero_point);
  const int32_t low = q.range.min;
  const int32_t high = q.range.max;
  if (count == kBlock) {
    output[0] = static_cast<int8_t>(Clamp(fast.Apply(sums.s0 + bias), low, high));
    output[stride] = static_cast<int8_t>(Clamp(fast.Apply(sums.s1 + bias), low, high));
    output[2 * stride] = static_cast<int8_t>(Clamp(fast.Apply(sums.s2 + bias), low, high));
    output[3 * stride] = static_cast<int8_t>(Clamp(fast.Apply(sums.s3 + bias), low, high));
    return;
  }
  for (int32_t c = 0; c < count; ++c) {
    output[c * stride] = static_cast<int8_t>(Clamp(fast.Apply(all[c] + bias), low, high));
  }
}

void MultiplyBlock(const GemmLayer& layer, const int16_t* columns, int32_t count, int8_t* output,
                   int32_t stride) {
  const int32_t depth = layer.depth;
  const int32_t groups = depth >> 2;
  const int8_t* row = layer.weights;
  for (int32_t r = 0; r < layer.rows; ++r, row += depth) {
    BlockSums sums = {0, 0, 0, 0};
    if (groups > 0) MultiplyGroups(row, columns, groups, &sums);
    if ((depth & 3) != 0) {
      MultiplyGroup(LoadTail(row, depth), columns + 4 * kBlock * groups, &sums);
    }
    StoreBlock(layer, r, sums, count, output + r, stride);
  }
}

int32_t MultiplySingle(const int8_t* row, const int16_t* column, int32_t depth) {
  int32_t sum = 0;
  for (int32_t groups = depth >> 2; groups > 0; --groups) {
    const uint32_t weights = LoadWord(row);
    sum = Smlad(LoadWord(column), Sxtb16(weights), sum);
    sum = Smlad(LoadWord(column + 2), Sxtb16Odd(weights), sum);
    row += 4;
    column += 4;
  }
  return sum;
}

void MultiplyOne(const GemmLayer& layer, const int16_t* column, int8_t* output) {
  const Requantization& q = *layer.requantization;
  const int32_t depth = layer.depth;
  const int8_t* row = layer.weights;
  for (int32_t r = 0; r < layer.rows; ++r, row += depth) {
    int32_t sum = MultiplySingle(row, column, depth);
    if ((depth & 3) != 0) {
      const uint32_t weights = LoadTail(row, depth);
      const int16_t* tail = column + (depth & ~3);
      sum = Smlad(LoadWord(tail), Sxtb16(weights), sum);
      sum = Smlad(LoadWord(tail + 2), Sxtb16Odd(weights), sum);
    }
    const int32_t bias = layer.bias[r];
    if (q.fast) {
      const FastMultiplier fast(layer.multipliers[r], q.output_zero_point);
      output[r] = static_cast<int8_t>(Clamp(fast.Apply(sum + bias), q.range.min, q.range.max));
    } else {
      output[r] = Requantize(WrapAdd(sum, bias), layer.multipliers[r], q);
    }
  }
}

}  // namespace

void PackColumn(const int8_t* from, int32_t depth, int32_t zero_point, int32_t lane, int32_t lanes,
                int16_t* columns) {
  const uint32_t offset = (static_cast<uint32_t>(-zero_point) & 0xffff) * 0x10001u;
  int16_t* to = columns + 4 * lane;
  const int32_t step = 4 * lanes;
  for (int32_t groups = depth >> 2; groups > 0; --groups) {
    const uint32_t word = LoadWord(from);
    const uint32_t pairs[2] = {Sxtab16(offset, word), Sxtab16Odd(offset, word)};
    memcpy(to, pairs, sizeof(pairs));
    from += 4;
    to += step;
  }
  const int32_t rest = depth & 3;
  if (rest == 0) return;
  // Element i of a group goes to place 0, 2, 1, 3; what is missing meets zero weights.
  to[0] = static_cast<int16_t>(from[0] - zero_point);
  to[2] = rest > 1 ? static_cast<int16_t>(from[1] - zero_point) : static_cast<int16_t>(0);
  to[1] = rest > 2 ? static_cast<int16_t>(from[2] - zero_point) : static_cast<int16_t>(0);
  to[3] = 0;
}

void MultiplyColumns(const GemmLayer& layer, const int16_t* columns, int32_t count, int8_t* output,
                     int32_t output_stride) {
  if (GemmLanes(count) == 1) {
    MultiplyOne(layer, columns, output);
  } else {
    MultiplyBlock(layer, columns, count, output, output_stride);
  }
}

}  // namespace tinymia

#endif
