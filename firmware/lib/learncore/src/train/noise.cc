#if defined(__arm__) && !defined(__clang__)
// ChaCha20 has as many values as the core has registers: GCC's scheduling before their allocation
// costs a quarter more instructions.
#pragma GCC optimize("no-schedule-insns")
#endif

#include "noise.h"

namespace tinymia {

void ChaCha20(const uint32_t* state, uint32_t* words) { ChaCha20<uint32_t>(state, words); }

SecretKey KeyFromSeed(uint64_t seed) {
  // "tinymia: audit-build key"
  const SecretKey base = {{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32),
                           0x796E6974u, 0x3A61696Du, 0x64756120u, 0x622D7469u, 0x646C6975u,
                           0x79656B20u}};
  SecretStream stream(base, SecretUse::kExpand, 0);
  SecretKey key;
  for (uint32_t& word : key.word) word = stream.Next();
  return key;
}

SecretStream::SecretStream(const SecretKey& key, SecretUse use, uint32_t step) : block_{} {
  state_.SetKey(0, key);
  state_.Start(use, step);
}

void SecretStream::Refill() {
  state_.Next(block_);
  used_ = 0;
}

}  // namespace tinymia
