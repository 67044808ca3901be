// Rows of int8 values, one a lane, to vectors of floats: what LoadRows of the trainer does, by a
// transposition in registers.
#pragma once

#include <stdint.h>
#include <string.h>

#include "vec.h"

namespace tinymia {

#if defined(__SSE2__) || defined(__aarch64__)

// A register of kBytes values; zips take turns within each 16 of them.
template <uint32_t kBytes>
struct ByteRow;

constexpr uint32_t kZip = 16;

template <>
struct ByteRow<16> {
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

#if defined(__AVX2__)
template <>
struct ByteRow<32> {
  __m256i v;
  static ByteRow Load(const int8_t* from) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))};
  }
  void Store(int8_t* to) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v); }
  static ByteRow ZipLow(ByteRow a, ByteRow b) { return {_mm256_unpacklo_epi8(a.v, b.v)}; }
  static ByteRow ZipHigh(ByteRow a, ByteRow b) { return {_mm256_unpackhi_epi8(a.v, b.v)}; }
};
#endif

#if defined(__AVX512BW__)
template <>
struct ByteRow<64> {
  __m512i v;
  static ByteRow Load(const int8_t* from) { return {_mm512_loadu_si512(from)}; }
  void Store(int8_t* to) const { _mm512_storeu_si512(to, v); }
  static ByteRow ZipLow(ByteRow a, ByteRow b) { return {_mm512_unpacklo_epi8(a.v, b.v)}; }
  static ByteRow ZipHigh(ByteRow a, ByteRow b) { return {_mm512_unpackhi_epi8(a.v, b.v)}; }
};
#endif

#if defined(__AVX512BW__)
constexpr uint32_t kWidestRow = 64;
#elif defined(__AVX2__)
constexpr uint32_t kWidestRow = 32;
#else
constexpr uint32_t kWidestRow = 16;
#endif

// The first kBytes values of each row, value by value: TransposedAt says where the j-th of all
// lanes lies in `to`. Each round of zips moves one bit of the row's number from the register's
// number into the place within 16 bytes.
template <uint32_t N, uint32_t kBytes>
inline void TransposeBytes(const int8_t* const* rows, uint32_t at, int8_t* to) {
  using Row = ByteRow<kBytes>;
  Row a[N];
  Row b[N];
#pragma GCC unroll 16
  for (uint32_t l = 0; l < N; ++l) a[l] = Row::Load(rows[l] + at);
#pragma GCC unroll 4
  for (uint32_t round = 1; round < N; round *= 2) {
#pragma GCC unroll 8
    for (uint32_t i = 0; i < N / 2; ++i) {
      b[2 * i] = Row::ZipLow(a[i], a[i + N / 2]);
      b[2 * i + 1] = Row::ZipHigh(a[i], a[i + N / 2]);
    }
#pragma GCC unroll 16
    for (uint32_t i = 0; i < N; ++i) a[i] = b[i];
  }
#pragma GCC unroll 16
  for (uint32_t i = 0; i < N; ++i) a[i].Store(to + i * kBytes);
}

template <uint32_t N, uint32_t kBytes>
constexpr uint32_t TransposedAt(uint32_t j) {
  const uint32_t within = j % kZip * N;  // of what one 16 bytes wide would be
  return within / kZip * kBytes + j / kZip * kZip + within % kZip;
}

// N bytes, sign-extended. (What compilers make of a conversion of vectors takes twice as long.)
template <uint32_t N>
inline VecInt<N> Widen(const int8_t* values) {
#if defined(__AVX512F__)
  if constexpr (N == 16) {
    return VecInt<N>::Of(reinterpret_cast<typename VecInt<N>::V>(_mm512_maskz_cvtepi8_epi32(
        0xFFFF, _mm_loadu_si128(reinterpret_cast<const __m128i*>(values)))));
  }
#endif
#if defined(__AVX2__)
  if constexpr (N == 8) {
    return VecInt<N>::Of(reinterpret_cast<typename VecInt<N>::V>(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(values)))));
  }
#endif
  typedef int8_t Bytes __attribute__((vector_size(N)));
  Bytes bytes;
  memcpy(&bytes, values, N);
  return VecInt<N>::Of(__builtin_convertvector(bytes, typename VecInt<N>::V));
}

template <uint32_t N>
inline Vec<N> Dequantize(const int8_t* values, float scale, int32_t zero_point) {
  return ToFloat(Widen<N>(values) - VecInt<N>(zero_point)) * Vec<N>(scale);
}

template <uint32_t N, uint32_t kBytes>
inline uint32_t LoadRowBlocks(const int8_t* const* rows, uint32_t from, uint32_t n, float scale,
                              int32_t zero_point, Vec<N>* to) {
  alignas(64) int8_t block[kBytes * N];
  uint32_t j = from;
  for (; j + kBytes <= n; j += kBytes) {
    TransposeBytes<N, kBytes>(rows, j, block);
#pragma GCC unroll 64
    for (uint32_t k = 0; k < kBytes; ++k) {
      to[j + k] = Dequantize<N>(block + TransposedAt<N, kBytes>(k), scale, zero_point);
    }
  }
  return j;
}

template <uint32_t N>
void LoadRows(const int8_t* const* rows, uint32_t n, float scale, int32_t zero_point, Vec<N>* to) {
  alignas(64) int8_t block[N];
  uint32_t j = LoadRowBlocks<N, kWidestRow>(rows, 0, n, scale, zero_point, to);
  if constexpr (kWidestRow != kZip) {
    j = LoadRowBlocks<N, kZip>(rows, j, n, scale, zero_point, to);
  }
  for (; j < n; ++j) {
    for (uint32_t l = 0; l < N; ++l) block[l] = rows[l][j];
    to[j] = Dequantize<N>(block, scale, zero_point);
  }
}

#endif

}  // namespace tinymia
