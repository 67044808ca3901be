// The order of an epoch.
#pragma once

#include <stdint.h>

#include "../rng.h"
#include "lanes.h"

namespace tinymia {

// What is shuffled for a lane by Purpose::kOrder: the order depends on the seed, the epoch and the
// items only.
struct ShuffleDraw {
  uint64_t seed;
  uint16_t* items;
  uint32_t count;
};

// (The twin has a faster one for vectors.)
template <typename F>
void ShuffleLanes(const ShuffleDraw (&draws)[Lanes<F>::kCount], uint32_t epoch, F) {
  for (const ShuffleDraw& draw : draws) Shuffle(draw.seed, epoch, draw.items, draw.count);
}

}  // namespace tinymia
