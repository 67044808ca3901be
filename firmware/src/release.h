// What a release build (-DTINYMIA_RELEASE) is. Whoever holds the line is a stranger there: no
// message tells weights, embeddings, stored windows, members, losses, ticks or hashes of them;
// training needs a privacy budget, and DP-SGD draws from the chip. Audit builds tell all that an
// audit measures, and draw from the seed, so that runs repeat.
#pragma once

#include "hal.h"
#include "messages.h"
#include "train/noise.h"

namespace tinymia {

#ifdef TINYMIA_RELEASE
constexpr bool kRelease = true;
constexpr SecretSource kSecretSource = SecretSource::kChip;
inline bool DrawKey(uint64_t, SecretKey* key) { return hal::Entropy(key->word, 8); }
#else
constexpr bool kRelease = false;
constexpr SecretSource kSecretSource = SecretSource::kSeed;
inline bool DrawKey(uint64_t seed, SecretKey* key) {
  *key = KeyFromSeed(seed);
  return true;
}
#endif

}  // namespace tinymia
