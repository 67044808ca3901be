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
enum class Purpose : uint32_t {
  kOrder = 1,
  kHoldout = 2,
  kMixup = 3,
  kDropout = 4,
  kAugment = 5,
  kParts = 16,
};

// The words of one (key, epoch, position, purpose), one after the other. `block` is the first
// counter: streams that start 2^24 apart do not meet.
class PhiloxStream {
 public:
  PhiloxStream(uint64_t key, uint32_t epoch, uint32_t position, Purpose purpose, uint32_t block = 0)
      : key_(key), block_(block), epoch_(epoch), position_(position), purpose_(purpose) {}

  uint32_t Next() {
    if (used_ == 4) {
      draw_ = Philox(key_, block_++, epoch_, position_, static_cast<uint32_t>(purpose_));
      used_ = 0;
    }
    return draw_.word[used_++];
  }

  // A whole number below `count`: the high word of a 32 x 32 bit product. The bias is below
  // count / 2^32.
  uint32_t Below(uint32_t count) {
    return static_cast<uint32_t>((static_cast<uint64_t>(Next()) * count) >> 32);
  }

 private:
  uint64_t key_;
  uint32_t block_, epoch_, position_;
  Purpose purpose_;
  Philox4x32 draw_ = {};
  uint32_t used_ = 4;
};

// Shuffles by Fisher and Yates; the order depends on (key, epoch, purpose) and the items only.
inline void Shuffle(uint64_t key, uint32_t epoch, uint16_t* items, uint32_t count,
                    Purpose purpose = Purpose::kOrder) {
  PhiloxStream stream(key, epoch, 0, purpose);
  for (uint32_t i = count; i > 1; --i) {
    const uint32_t j = stream.Below(i);
    const uint16_t swapped = items[i - 1];
    items[i - 1] = items[j];
    items[j] = swapped;
  }
}

}  // namespace tinymia
