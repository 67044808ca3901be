// What becomes of a layer's weights when they are made smaller: pruning by magnitude (Han et al.,
// NeurIPS 2015) and rounding to few bits, symmetric with one scale a layer, as a tail is written
// back into an int8 model.
#pragma once

#include <stdint.h>

#include "../fmath.h"
#include "lanes.h"

namespace tinymia {

template <typename F>
inline F Magnitude(F x) {
  return BitsToFloat(FloatToBits(x) & UintOf<F>(0x7FFFFFFFu));
}

// Lanes in `mask`: the smallest weights become 0, `share * n` of them or the next more, and with
// them what is as small as the last.
template <typename F>
void PruneWeights(MaskOf<F> mask, F share, F* w, uint32_t n) {
  const F wanted = share * F(static_cast<float>(n));
  // Positive floats are ordered as their bits are: which of them is the last is found by halves.
  UintOf<F> low(0u);
  UintOf<F> high(0x7F800000u);
  for (uint32_t bit = 0; bit < 31; ++bit) {
    const UintOf<F> middle = low + ((high - low) >> 1);
    const F most = BitsToFloat(middle);
    F found = F(0.0f);
    for (uint32_t i = 0; i < n; ++i) {
      found = Select(Magnitude(w[i]) <= most, found + F(1.0f), found);
    }
    const MaskOf<F> enough = found >= wanted;
    high = Select(enough, middle, high);
    low = Select(enough, low, middle + UintOf<F>(1u));
  }
  const F most = BitsToFloat(high);
  for (uint32_t i = 0; i < n; ++i) {
    w[i] = Select(mask & (Magnitude(w[i]) <= most), F(0.0f), w[i]);
  }
}

// Lanes in `mask`: each weight becomes the nearest of 2 * levels + 1 multiples of the largest one
// over `levels`.
template <typename F>
void RoundWeights(MaskOf<F> mask, F levels, F* w, uint32_t n) {
  F most = F(0.0f);
  for (uint32_t i = 0; i < n; ++i) most = Larger(Magnitude(w[i]), most);
  const F step = most / levels;
  for (uint32_t i = 0; i < n; ++i) {
    const F steps = w[i] / step;
    // (What is no number stays: processors would make different integers of it.)
    w[i] = Select(mask & (steps * steps < F(1e6f)), ToFloat(RoundToInt(steps)) * step, w[i]);
  }
}

}  // namespace tinymia
