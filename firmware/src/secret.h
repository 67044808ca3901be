// Where the randomness of DP-SGD comes from: the seed in audit builds, so that runs repeat; the
// chip in release builds (-DTINYMIA_RELEASE_NOISE).
#pragma once

#include "hal.h"
#include "messages.h"
#include "train/noise.h"

namespace tinymia {

#ifdef TINYMIA_RELEASE_NOISE
constexpr SecretSource kSecretSource = SecretSource::kChip;
inline bool DrawKey(uint64_t, SecretKey* key) { return hal::Entropy(key->word, 8); }
#else
constexpr SecretSource kSecretSource = SecretSource::kSeed;
inline bool DrawKey(uint64_t seed, SecretKey* key) {
  *key = KeyFromSeed(seed);
  return true;
}
#endif

}  // namespace tinymia
