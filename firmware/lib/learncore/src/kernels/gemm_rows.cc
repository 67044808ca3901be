#include "kernels/gemm_rows.h"

#if defined(TINYMIA_PACKED_ROWS)

namespace tinymia {
namespace {

// Whole numbers of 32 bits, one a row; sums wrap around as the reference's do. (With masks that
// choose all: GCC 12 takes what the other forms leave undefined for a fault.)
#if defined(__AVX512BW__)
using Ints = __m512i;
inline Ints Load(const uint8_t* from) { return _mm512_loadu_si512(from); }
inline Ints All(int32_t value) { return _mm512_set1_epi32(value); }
inline Ints Add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
inline Ints SumOfPairs(Ints a, Ints b) { return _mm512_madd_epi16(a, b); }
inline Ints ShiftRight(Ints a, Ints bits) { return _mm512_maskz_srav_epi32(0xFFFF, a, bits); }
inline Ints Clamped(Ints a, Ints low, Ints high) {
  return _mm512_maskz_min_epi32(0xFFFF, _mm512_maskz_max_epi32(0xFFFF, a, low), high);
}
inline Ints Upper(Ints a) { return _mm512_maskz_srli_epi64(0xFF, a, 32); }
// The upper halves of a * b, b without sign and at least 2^31, rounded to nearest, ties upwards. (b
// is taken for a number that is less by 2^32, which `a` makes up for.)
inline Ints High(Ints a, Ints b) {
  const __m512i half = _mm512_set1_epi64(INT64_C(1) << 31);
  const __m512i even = _mm512_add_epi64(_mm512_maskz_mul_epi32(0xFF, a, b), half);
  const __m512i odd = _mm512_add_epi64(_mm512_maskz_mul_epi32(0xFF, Upper(a), Upper(b)), half);
  return Add(a, _mm512_mask_mov_epi32(Upper(even), 0xAAAA, odd));
}
inline void StoreBytes(Ints a, int8_t* to) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi32_epi8(0xFFFF, a));
}
#else
using Ints = __m256i;
inline Ints Load(const uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
inline Ints All(int32_t value) { return _mm256_set1_epi32(value); }
inline Ints Add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
inline Ints SumOfPairs(Ints a, Ints b) { return _mm256_madd_epi16(a, b); }
inline Ints ShiftRight(Ints a, Ints bits) { return _mm256_srav_epi32(a, bits); }
inline Ints Clamped(Ints a, Ints low, Ints high) {
  return _mm256_min_epi32(_mm256_max_epi32(a, low), high);
}
inline Ints High(Ints a, Ints b) {
  const __m256i half = _mm256_set1_epi64x(INT64_C(1) << 31);
  const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, b), half);
  const __m256i odd =
      _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32)), half);
  return Add(a, _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA));
}
inline void StoreBytes(Ints a, int8_t* to) {
  const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(halves, halves));
}
#endif

// One group of rows times so many columns.
template <int32_t kColumns>
inline void MultiplyGroup(const uint8_t* group, const Requantization& q, int32_t rows,
                          int32_t depth, const int16_t* columns, int8_t* output,
                          int32_t output_stride) {
  constexpr int32_t kBytes = 4 * kRowLanes;
  Ints sums[kColumns];
#pragma GCC unroll 8
  for (int32_t c = 0; c < kColumns; ++c) sums[c] = Load(group);
  const Ints scale = Load(group + kBytes);
  const Ints shift = Load(group + 2 * kBytes);
  const uint8_t* weights = group + 3 * kBytes;
  const int32_t pairs = depth / 2;
  for (int32_t i = 0; i < pairs; ++i, weights += kBytes) {
    const Ints w = Load(weights);
#pragma GCC unroll 8
    for (int32_t c = 0; c < kColumns; ++c) {
      int32_t pair;
      memcpy(&pair, columns + c * depth + 2 * i, sizeof pair);
      sums[c] = Add(sums[c], SumOfPairs(w, All(pair)));
    }
  }
  if (depth % 2 != 0) {
    const Ints w = Load(weights);
#pragma GCC unroll 8
    for (int32_t c = 0; c < kColumns; ++c) {
      const int32_t last = static_cast<uint16_t>(columns[c * depth + depth - 1]);
      sums[c] = Add(sums[c], SumOfPairs(w, All(last)));
    }
  }
  // See ApplyQuick.
  const Ints low = All(q.range.min), high = All(q.range.max), zero_point = All(q.output_zero_point);
#pragma GCC unroll 8
  for (int32_t c = 0; c < kColumns; ++c, output += output_stride) {
    Ints value = High(sums[c], scale);
    value = Add(value, ShiftRight(value, All(31)));
    value = ShiftRight(Add(ShiftRight(value, shift), All(1)), All(1));
    value = Clamped(Add(value, zero_point), low, high);
    if (rows >= kRowLanes) {
      StoreBytes(value, output);
      continue;
    }
    int8_t bytes[kRowLanes];
    StoreBytes(value, bytes);
    memcpy(output, bytes, static_cast<size_t>(rows));
  }
}

}  // namespace

void MultiplyPacked(const uint8_t* packed, const Requantization& q, int32_t rows, int32_t depth,
                    const int16_t* columns, int32_t lanes, int8_t* output, int32_t output_stride) {
  const uint32_t bytes = GroupBytes(static_cast<uint32_t>(depth));
  for (; rows > 0; rows -= kRowLanes, packed += bytes, output += kRowLanes) {
    if (lanes == kBlock) {
      MultiplyGroup<kBlock>(packed, q, rows, depth, columns, output, output_stride);
    } else if (lanes == kHalfBlock) {
      MultiplyGroup<kHalfBlock>(packed, q, rows, depth, columns, output, output_stride);
    } else {
      MultiplyGroup<1>(packed, q, rows, depth, columns, output, output_stride);
    }
  }
}

}  // namespace tinymia

#endif
