// Dropout's factors: 0 or 1 / (1 - rate).
#pragma once

#include <stdint.h>

#include "../rng.h"
#include "lanes.h"

namespace tinymia {

// What a lane's factors depend on.
struct DropoutDraw {
  uint64_t seed;
  float rate;
  uint32_t position;  // of the example in its epoch
};

// factors[j], j < n, of one example a lane. (The twin has a faster one for vectors.)
template <typename F>
void DrawDropout(const DropoutDraw* draws, uint32_t epoch, uint32_t n, F* factors) {
  for (uint32_t l = 0; l < Lanes<F>::kCount; ++l) {
    const DropoutDraw& d = draws[l];
    const float scale = 1.0f / (1.0f - d.rate);
    Philox4x32 words = {};
    for (uint32_t j = 0; j < n; ++j) {
      if (j % 4 == 0 && d.rate > 0) {
        words = Philox(d.seed, j / 4, epoch, d.position, static_cast<uint32_t>(Purpose::kDropout));
      }
      const float uniform = static_cast<float>(words.word[j % 4] >> 8) * 0x1p-24f;
      SetLane(&factors[j], l, uniform < d.rate ? 0.0f : scale);
    }
  }
}

}  // namespace tinymia
