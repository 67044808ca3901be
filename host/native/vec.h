// Vec<N>: N floats, each lane a device of the twin's. Has everything that train/lanes.h asks of a
// number type; every lane gives the bits that a float would. Compiled once an instruction set, so
// a width that the set has no register for is never used.
#pragma once

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "train/lanes.h"

namespace tinymia {

template <uint32_t N>
struct Registers {
  typedef float Float __attribute__((vector_size(4 * N)));
  typedef int32_t Int __attribute__((vector_size(4 * N)));
  typedef uint32_t Uint __attribute__((vector_size(4 * N)));
  typedef uint64_t Wide __attribute__((vector_size(4 * N)));
};

// Lanes of true and false: all bits or none.
template <uint32_t N>
struct VecMask {
  using V = typename Registers<N>::Int;
  V v;

  friend VecMask operator&(VecMask a, VecMask b) { return {a.v & b.v}; }
  friend VecMask operator|(VecMask a, VecMask b) { return {a.v | b.v}; }
  friend VecMask operator!(VecMask a) { return {~a.v}; }
};

template <uint32_t N>
struct VecUint;

// int32 lanes that wrap around.
template <uint32_t N>
struct VecInt {
  using V = typename Registers<N>::Int;
  using U = typename Registers<N>::Uint;
  V v;

  VecInt() = default;
  VecInt(int32_t x) : v(V{} + x) {}
  explicit VecInt(VecUint<N> x) : v(reinterpret_cast<V>(x.v)) {}
  static VecInt Of(V v) {
    VecInt x;
    x.v = v;
    return x;
  }

  friend VecInt operator+(VecInt a, VecInt b) {
    return Of(reinterpret_cast<V>(reinterpret_cast<U>(a.v) + reinterpret_cast<U>(b.v)));
  }
  friend VecInt operator-(VecInt a, VecInt b) {
    return Of(reinterpret_cast<V>(reinterpret_cast<U>(a.v) - reinterpret_cast<U>(b.v)));
  }
  friend VecInt operator^(VecInt a, VecInt b) { return Of(a.v ^ b.v); }
  friend VecInt operator>>(VecInt a, VecInt bits) { return Of(a.v >> bits.v); }
};

template <uint32_t N>
struct VecUint {
  using V = typename Registers<N>::Uint;
  V v;

  VecUint() = default;
  VecUint(uint32_t x) : v(V{} + x) {}
  explicit VecUint(VecInt<N> x) : v(reinterpret_cast<V>(x.v)) {}
  static VecUint Of(V v) {
    VecUint x;
    x.v = v;
    return x;
  }

  friend VecUint operator+(VecUint a, VecUint b) { return Of(a.v + b.v); }
  friend VecUint operator-(VecUint a, VecUint b) { return Of(a.v - b.v); }
  friend VecUint operator&(VecUint a, VecUint b) { return Of(a.v & b.v); }
  friend VecUint operator|(VecUint a, VecUint b) { return Of(a.v | b.v); }
  friend VecUint operator^(VecUint a, VecUint b) { return Of(a.v ^ b.v); }
  friend VecUint operator<<(VecUint a, int bits) { return Of(a.v << bits); }
  friend VecUint operator>>(VecUint a, int bits) { return Of(a.v >> bits); }
};

template <uint32_t N>
struct Vec {
  using V = typename Registers<N>::Float;
  V v;

  Vec() = default;
  Vec(float x) : v(x - V{}) {}  // (x + 0 would lose the sign of -0)
  static Vec Of(V v) {
    Vec x;
    x.v = v;
    return x;
  }

  friend Vec operator+(Vec a, Vec b) { return Of(a.v + b.v); }
  friend Vec operator-(Vec a, Vec b) { return Of(a.v - b.v); }
  friend Vec operator*(Vec a, Vec b) { return Of(a.v * b.v); }
  friend Vec operator/(Vec a, Vec b) { return Of(a.v / b.v); }
  friend Vec operator-(Vec a) { return Of(-a.v); }
  friend VecMask<N> operator<(Vec a, Vec b) { return {a.v < b.v}; }
  friend VecMask<N> operator>(Vec a, Vec b) { return {a.v > b.v}; }
  friend VecMask<N> operator<=(Vec a, Vec b) { return {a.v <= b.v}; }
  friend VecMask<N> operator>=(Vec a, Vec b) { return {a.v >= b.v}; }
  friend VecMask<N> operator==(Vec a, Vec b) { return {a.v == b.v}; }
  friend VecMask<N> operator!=(Vec a, Vec b) { return {a.v != b.v}; }
};

template <uint32_t N>
struct Lanes<Vec<N>> {
  static constexpr uint32_t kCount = N;
  using Mask = VecMask<N>;
  using Int = VecInt<N>;
  using Uint = VecUint<N>;
};

template <uint32_t N>
inline Vec<N> Select(VecMask<N> mask, Vec<N> a, Vec<N> b) {
  return Vec<N>::Of(mask.v ? a.v : b.v);
}
template <uint32_t N>
inline VecInt<N> Select(VecMask<N> mask, VecInt<N> a, VecInt<N> b) {
  return VecInt<N>::Of(mask.v ? a.v : b.v);
}
template <uint32_t N>
inline VecUint<N> Select(VecMask<N> mask, VecUint<N> a, VecUint<N> b) {
  return VecUint<N>::Of(mask.v ? a.v : b.v);
}

template <int kBits, uint32_t N>
inline VecUint<N> RotateLeft(VecUint<N> x) {
  return x << kBits | x >> (32 - kBits);
}

template <uint32_t N>
inline Vec<N> InRegister(Vec<N> x) {
#if defined(__x86_64__)
  asm("" : "+v"(x.v));
#endif
  return x;
}

// (Compilers do not see that the selection is one instruction.)
template <uint32_t N>
inline Vec<N> Larger(Vec<N> a, Vec<N> b) {
#if defined(__AVX512F__)
  if constexpr (N == 16) return Vec<N>::Of(_mm512_maskz_max_ps(0xFFFF, a.v, b.v));
#endif
#if defined(__AVX2__)
  if constexpr (N == 8) return Vec<N>::Of(_mm256_max_ps(a.v, b.v));
#endif
#if defined(__SSE2__)
  if constexpr (N == 4) return Vec<N>::Of(_mm_max_ps(a.v, b.v));
#endif
  return Select(a > b, a, b);
}

template <uint32_t N>
inline Vec<N> Smaller(Vec<N> a, Vec<N> b) {
#if defined(__AVX512F__)
  if constexpr (N == 16) return Vec<N>::Of(_mm512_maskz_min_ps(0xFFFF, a.v, b.v));
#endif
#if defined(__AVX2__)
  if constexpr (N == 8) return Vec<N>::Of(_mm256_min_ps(a.v, b.v));
#endif
#if defined(__SSE2__)
  if constexpr (N == 4) return Vec<N>::Of(_mm_min_ps(a.v, b.v));
#endif
  return Select(a < b, a, b);
}
#if defined(__AVX512F__)
// (Nor that one comparison can stand under another.)
inline Vec<16> WhereBetween(Vec<16> y, Vec<16> most, Vec<16> x) {
  const __mmask16 above = _mm512_cmp_ps_mask(y.v, _mm512_setzero_ps(), _CMP_GT_OQ);
  return Vec<16>::Of(
      _mm512_maskz_mov_ps(_mm512_mask_cmp_ps_mask(above, y.v, most.v, _CMP_LT_OQ), x.v));
}
#endif

template <uint32_t N>
inline bool Any(VecMask<N> mask) {
#if defined(__AVX512F__)
  if constexpr (N == 16) return _mm512_test_epi32_mask(__m512i(mask.v), __m512i(mask.v)) != 0;
#endif
#if defined(__AVX2__)
  if constexpr (N == 8) return _mm256_movemask_ps(__m256(mask.v)) != 0;
#endif
#if defined(__SSE2__)
  if constexpr (N == 4) return _mm_movemask_ps(__m128(mask.v)) != 0;
#endif
  int32_t any = 0;
  for (uint32_t l = 0; l < N; ++l) any |= mask.v[l];
  return any != 0;
}
template <uint32_t N>
inline bool All(VecMask<N> mask) {
  return !Any(!mask);
}

template <uint32_t N>
inline VecUint<N> FloatToBits(Vec<N> x) {
  return VecUint<N>::Of(reinterpret_cast<typename Registers<N>::Uint>(x.v));
}
template <uint32_t N>
inline Vec<N> BitsToFloat(VecUint<N> bits) {
  return Vec<N>::Of(reinterpret_cast<typename Registers<N>::Float>(bits.v));
}
template <uint32_t N>
inline VecInt<N> BitsToInt(Vec<N> x) {
  return VecInt<N>::Of(reinterpret_cast<typename Registers<N>::Int>(x.v));
}
template <uint32_t N>
inline Vec<N> IntToBits(VecInt<N> bits) {
  return Vec<N>::Of(reinterpret_cast<typename Registers<N>::Float>(bits.v));
}
template <uint32_t N>
inline Vec<N> ToFloat(VecInt<N> x) {
  return Vec<N>::Of(__builtin_convertvector(x.v, typename Registers<N>::Float));
}
template <uint32_t N>
inline VecInt<N> Truncate(Vec<N> x) {
  return VecInt<N>::Of(__builtin_convertvector(x.v, typename Registers<N>::Int));
}

template <uint32_t N>
inline float GetLane(Vec<N> x, uint32_t lane) {
  return x.v[lane];
}
template <uint32_t N>
inline int32_t GetLane(VecInt<N> x, uint32_t lane) {
  return x.v[lane];
}
template <uint32_t N>
inline uint32_t GetLane(VecUint<N> x, uint32_t lane) {
  return x.v[lane];
}
template <uint32_t N>
inline bool GetLane(VecMask<N> x, uint32_t lane) {
  return x.v[lane] != 0;
}
template <uint32_t N>
inline void SetLane(Vec<N>* x, uint32_t lane, float value) {
  x->v[lane] = value;
}
template <uint32_t N>
inline void SetLane(VecInt<N>* x, uint32_t lane, int32_t value) {
  x->v[lane] = value;
}
template <uint32_t N>
inline void SetLane(VecUint<N>* x, uint32_t lane, uint32_t value) {
  x->v[lane] = value;
}
template <uint32_t N>
inline void SetLane(VecMask<N>* x, uint32_t lane, bool value) {
  x->v[lane] = value ? -1 : 0;
}

template <uint32_t N>
inline Vec<N> Canonical(Vec<N> x) {
  return Select(x == x, x, BitsToFloat(VecUint<N>(0x7FC00000u)));
}

template <uint32_t N>
inline Vec<N> Sqrt(Vec<N> x) {
#if defined(__AVX512F__)
  // (With a mask of ones: GCC 12 warns of the other's body.)
  if constexpr (N == 16) return Vec<N>::Of(_mm512_maskz_sqrt_ps(0xFFFF, x.v));
#endif
#if defined(__AVX2__)
  if constexpr (N == 8) return Vec<N>::Of(_mm256_sqrt_ps(x.v));
#endif
#if defined(__SSE2__)
  if constexpr (N == 4) return Vec<N>::Of(_mm_sqrt_ps(x.v));
#elif defined(__aarch64__)
  if constexpr (N == 4) return Vec<N>::Of(vsqrtq_f32(x.v));
#endif
  Vec<N> y;
  for (uint32_t l = 0; l < N; ++l) y.v[l] = __builtin_sqrtf(x.v[l]);
  return y;
}

}  // namespace tinymia
