// Philox4x32-10, a counter-based generator (Salmon et al., SC 2011, section 3.3): a draw depends on
// its key and counter only, so training can resume anywhere and many devices can be run in any
// order.
#pragma once

#include <stdint.h>

namespace tinymia {

struct Philox4x32 {
  uint32_t word[4];
};

inline Philox4x32 Philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
  uint32_t k0 = static_cast<uint32_t>(key);
  uint32_t k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = static_cast<uint64_t>(0xD2511F53u) * c0;
    const uint64_t p1 = static_cast<uint64_t>(0xCD9E8D57u) * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// What a draw is for; the last word of the counter, so that uses never share a number.
enum class Purpose : uint32_t { kOrder = 1 };

// Shuffles by Fisher and Yates; the order depends on (key, epoch) and the items only. The index is
// the high word of a 32 x 32 bit product: its bias is below count / 2^32.
inline void Shuffle(uint64_t key, uint32_t epoch, uint16_t* items, uint32_t count) {
  Philox4x32 draw = {};
  uint32_t used = 4;
  uint32_t block = 0;
  for (uint32_t i = count; i > 1; --i) {
    if (used == 4) {
      draw = Philox(key, block++, epoch, 0, static_cast<uint32_t>(Purpose::kOrder));
      used = 0;
    }
    const uint32_t j = static_cast<uint32_t>((static_cast<uint64_t>(draw.word[used++]) * i) >> 32);
    const uint16_t swapped = items[i - 1];
    items[i - 1] = items[j];
    items[j] = swapped;
  }
}

}  // namespace tinymia
