// Rows of int8 values, one a lane, to vectors of floats: what LoadRows of the trainer does, by a
// transposition in registers.
#pragma once

#include <stdint.h>
#include <string.h>

#include "vec.h"

namespace tinymia {

#if defined(__SSE2__) || defined(__aarch64__)

struct ByteRow {
#if defined(__SSE2__)
  __m128i v;
  static ByteRow Load(const int8_t* from) {
    return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))};
  }
  void Store(int8_t* to) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), v); }
  static ByteRow ZipLow(ByteRow a, ByteRow b) { return {_mm_unpacklo_epi8(a.v, b.v)}; }
  static ByteRow ZipHigh(ByteRow a, ByteRow b) { return {_mm_unpackhi_epi8(a.v, b.v)}; }
#else
  int8x16_t v;
  static ByteRow Load(const int8_t* from) { return {vld1q_s8(from)}; }
  void Store(int8_t* to) const { vst1q_s8(to, v); }
  static ByteRow ZipLow(ByteRow a, ByteRow b) { return {vzip1q_s8(a.v, b.v)}; }
  static ByteRow ZipHigh(ByteRow a, ByteRow b) { return {vzip2q_s8(a.v, b.v)}; }
#endif
};

constexpr uint32_t kByteRow = 16;

// to[16][N] = the first 16 values of each row. Each round of zips moves one bit of the row's number
// from the register's number into the place within it.
template <uint32_t N>
inline void TransposeBytes(const int8_t* const* rows, uint32_t at, int8_t* to) {
  ByteRow a[N];
  ByteRow b[N];
#pragma GCC unroll 16
  for (uint32_t l = 0; l < N; ++l) a[l] = ByteRow::Load(rows[l] + at);
#pragma GCC unroll 4
  for (uint32_t round = 1; round < N; round *= 2) {
#pragma GCC unroll 8
    for (uint32_t i = 0; i < N / 2; ++i) {
      b[2 * i] = ByteRow::ZipLow(a[i], a[i + N / 2]);
      b[2 * i + 1] = ByteRow::ZipHigh(a[i], a[i + N / 2]);
    }
#pragma GCC unroll 16
    for (uint32_t i = 0; i < N; ++i) a[i] = b[i];
  }
#pragma GCC unroll 16
  for (uint32_t i = 0; i < N; ++i) a[i].Store(to + i * kByteRow);
}

template <uint32_t N>
inline Vec<N> Dequantize(const int8_t* values, float scale, int32_t zero_point) {
  typedef int8_t Bytes __attribute__((vector_size(N)));
  Bytes bytes;
  memcpy(&bytes, values, N);
  using V = typename VecInt<N>::V;
  return ToFloat(VecInt<N>::Of(__builtin_convertvector(bytes, V)) - VecInt<N>(zero_point)) *
         Vec<N>(scale);
}

template <uint32_t N>
void LoadRows(const int8_t* const* rows, uint32_t n, float scale, int32_t zero_point, Vec<N>* to) {
  alignas(64) int8_t block[kByteRow * N];
  uint32_t j = 0;
  for (; j + kByteRow <= n; j += kByteRow) {
    TransposeBytes<N>(rows, j, block);
#pragma GCC unroll 16
    for (uint32_t k = 0; k < kByteRow; ++k) {
      to[j + k] = Dequantize<N>(block + k * N, scale, zero_point);
    }
  }
  for (; j < n; ++j) {
    for (uint32_t l = 0; l < N; ++l) block[l] = rows[l][j];
    to[j] = Dequantize<N>(block, scale, zero_point);
  }
}

#endif

}  // namespace tinymia
