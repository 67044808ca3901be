// Philox (rng.h) over lanes, each with a key and counters of its own, and what is drawn by it.
#pragma once

#include <stdint.h>

#include "train/dropout.h"
#include "train/shuffle.h"
#include "vec.h"

namespace tinymia {

// Products of the low 32 bits of 64-bit lanes.
template <uint32_t N>
inline typename Registers<N>::Wide MultiplyLow(typename Registers<N>::Wide a,
                                               typename Registers<N>::Wide b) {
#if defined(__x86_64__)
  // (Compilers make three multiplications of a product of two words that are zero above.)
  using Wide = typename Registers<N>::Wide;
  if constexpr (N == 4) {
    return reinterpret_cast<Wide>(
        _mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
  }
#if defined(__AVX2__)
  if constexpr (N == 8) {
    return reinterpret_cast<Wide>(
        _mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
  }
#endif
#if defined(__AVX512F__)
  if constexpr (N == 16) {
    return reinterpret_cast<Wide>(
        _mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
  }
#endif
#endif
  const typename Registers<N>::Wide low_half = ~typename Registers<N>::Wide{} >> 32;
  return (a & low_half) * (b & low_half);
}

// The 64-bit products of the lanes, as two words.
template <uint32_t N>
inline void MultiplyWide(VecUint<N> a, VecUint<N> b, VecUint<N>* high, VecUint<N>* low) {
  using Wide = typename Registers<N>::Wide;
  using U = typename VecUint<N>::V;
  const Wide all_a = reinterpret_cast<Wide>(a.v);
  const Wide all_b = reinterpret_cast<Wide>(b.v);
  const Wide low_half = ~Wide{} >> 32;
  const Wide even = MultiplyLow<N>(all_a, all_b);
  const Wide odd = MultiplyLow<N>(all_a >> 32, all_b >> 32);
  *high = VecUint<N>::Of(reinterpret_cast<U>((even >> 32) | (odd & ~low_half)));
  *low = VecUint<N>::Of(reinterpret_cast<U>((even & low_half) | (odd << 32)));
}

// Four words a lane, as Philox() of rng.h gives them.
template <uint32_t N>
inline void PhiloxLanes(VecUint<N> k0, VecUint<N> k1, VecUint<N> c0, VecUint<N> c1, VecUint<N> c2,
                        VecUint<N> c3, VecUint<N>* words) {
  for (int round = 0; round < 10; ++round) {
    VecUint<N> high0, low0, high1, low1;
    MultiplyWide(c0, VecUint<N>(0xD2511F53u), &high0, &low0);
    MultiplyWide(c2, VecUint<N>(0xCD9E8D57u), &high1, &low1);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = k0 + VecUint<N>(0x9E3779B9u);
    k1 = k1 + VecUint<N>(0xBB67AE85u);
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

template <uint32_t N>
void DrawDropout(const DropoutDraw* draws, uint32_t epoch, uint32_t n, Vec<N>* factors) {
  VecUint<N> k0, k1, position;
  Vec<N> rate;
  for (uint32_t l = 0; l < N; ++l) {
    SetLane(&k0, l, static_cast<uint32_t>(draws[l].seed));
    SetLane(&k1, l, static_cast<uint32_t>(draws[l].seed >> 32));
    SetLane(&position, l, draws[l].position);
    SetLane(&rate, l, draws[l].rate);
  }
  const Vec<N> scale = Vec<N>(1.0f) / (Vec<N>(1.0f) - rate);
  VecUint<N> words[4];
  for (uint32_t j = 0; j < n; ++j) {
    if (j % 4 == 0) {
      PhiloxLanes(k0, k1, VecUint<N>(j / 4), VecUint<N>(epoch), position,
                  VecUint<N>(static_cast<uint32_t>(Purpose::kDropout)), words);
    }
    // Below 2^24, so signed or not is the same.
    const Vec<N> uniform = ToFloat(VecInt<N>(words[j % 4] >> 8)) * Vec<N>(0x1p-24f);
    factors[j] = Select(uniform < rate, Vec<N>(0.0f), scale);
  }
}

// Shuffle() of every lane, whose words are drawn side by side.
template <uint32_t N>
void ShuffleLanes(const ShuffleDraw (&draws)[N], uint32_t epoch, Vec<N>) {
  VecUint<N> k0, k1, left;
  uint32_t most = 0;
  for (uint32_t l = 0; l < N; ++l) {
    SetLane(&k0, l, static_cast<uint32_t>(draws[l].seed));
    SetLane(&k1, l, static_cast<uint32_t>(draws[l].seed >> 32));
    SetLane(&left, l, draws[l].count);
    most = draws[l].count > most ? draws[l].count : most;
  }
  for (uint32_t first = 0; first + 1 < most; first += 4) {
    VecUint<N> words[4];
    PhiloxLanes(k0, k1, VecUint<N>(first / 4), VecUint<N>(epoch), VecUint<N>(0u),
                VecUint<N>(static_cast<uint32_t>(Purpose::kOrder)), words);
    for (uint32_t i = 0; i < 4; ++i) {
      VecUint<N> low;
      MultiplyWide(words[i], left - VecUint<N>(first + i), &words[i], &low);
    }
    for (uint32_t l = 0; l < N; ++l) {
      uint16_t* items = draws[l].items;
      const uint32_t count = draws[l].count;
      for (uint32_t i = 0; i < 4 && first + i + 1 < count; ++i) {
        uint16_t* last = items + count - first - i - 1;
        const uint32_t j = GetLane(words[i], l);
        const uint16_t swapped = *last;
        *last = items[j];
        items[j] = swapped;
      }
    }
  }
}

}  // namespace tinymia
