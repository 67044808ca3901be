// The noise of DP-SGD for tests: the law of Bell() over all words, and draws of Gaussian().
#include <stdint.h>

#include "train/gaussian.h"
#include "train/noise.h"
#include "vec.h"

namespace {

constexpr uint32_t kLanes = 4;
using F = tinymia::Vec<kLanes>;
using U = tinymia::VecUint<kLanes>;

}  // namespace

extern "C" {

int32_t tinymia_bell(uint32_t word) { return tinymia::Bell<float>(word); }

void tinymia_units(float noise_multiplier, uint32_t parameters, tinymia::NoiseUnits* units) {
  *units = tinymia::UnitsOfNoise(noise_multiplier, parameters);
}

// counts[k] grows by the number of words from `first` on, `n` of them without a sign, whose
// magnitude is k. Returns how many of these there were above `most`.
uint32_t tinymia_bell_law(uint32_t first, uint32_t n, uint32_t most, uint32_t* counts) {
  U word;
  for (uint32_t l = 0; l < kLanes; ++l) SetLane(&word, l, first + l);
  uint32_t beyond = 0;
  for (uint32_t i = 0; i < n; i += kLanes, word = word + U(kLanes)) {
    const auto sizes = tinymia::Bell<F>(word);
    for (uint32_t l = 0; l < kLanes; ++l) {
      const uint32_t size = static_cast<uint32_t>(GetLane(sizes, l));
      if (size > most) {
        ++beyond;
      } else {
        ++counts[size];
      }
    }
  }
  return beyond;
}

// Draws of `lanes` devices with the same key and steps from `step` on, n each: [lanes][n].
void tinymia_gaussian_lanes(const tinymia::SecretKey* key, uint32_t step, uint32_t n,
                            int32_t* out) {
  tinymia::SecretState<U> state;
  U steps;
  for (uint32_t l = 0; l < kLanes; ++l) {
    state.SetKey(l, *key);
    SetLane(&steps, l, step + l);
  }
  state.Start(tinymia::SecretUse::kNoise, steps);
  U words[16];
  for (uint32_t i = 0; i < n; ++i) {
    if (i % 8 == 0) state.Next(words);
    const auto drawn = tinymia::Gaussian<F>(words[i % 8 * 2], words[i % 8 * 2 + 1]);
    for (uint32_t l = 0; l < kLanes; ++l) {
      out[static_cast<uint64_t>(l) * n + i] = GetLane(drawn, l);
    }
  }
}

void tinymia_gaussian(const tinymia::SecretKey* key, uint32_t step, uint32_t n, int32_t* out) {
  tinymia::SecretStream stream(*key, tinymia::SecretUse::kNoise, step);
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t first = stream.Next();
    out[i] = tinymia::Gaussian<float>(first, stream.Next());
  }
}
}
