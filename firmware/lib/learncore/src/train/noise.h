// Random words of DP-SGD that nobody else can know: ChaCha20 (RFC 8439), for one device or for
// lanes of them. The noise that is made of them is in gaussian.h.
#pragma once

#include <stdint.h>

#include "lanes.h"

namespace tinymia {

struct SecretKey {
  uint32_t word[8];
};

// The key of audit builds: every run can be repeated. Release builds fill it from the chip's
// generator of true random numbers. It is the first eight words of the ChaCha20 stream of use
// kExpand under the key that is the seed's 8 bytes (little endian), then the 24 characters
// "tinymia: audit-build key".
SecretKey KeyFromSeed(uint64_t seed);

enum class SecretUse : uint32_t { kExpand = 0, kPoisson = 1, kNoise = 2 };

// `words` become the block of a state, 16 each.
void ChaCha20(const uint32_t* state, uint32_t* words);

template <typename U>
inline void QuarterRound(U& a, U& b, U& c, U& d) {
  a = a + b;
  d = RotateLeft<16>(d ^ a);
  c = c + d;
  b = RotateLeft<12>(b ^ c);
  a = a + b;
  d = RotateLeft<8>(d ^ a);
  c = c + d;
  b = RotateLeft<7>(b ^ c);
}

template <typename U>
inline void ChaCha20(const U* s, U* words) {
  U x0 = s[0], x1 = s[1], x2 = s[2], x3 = s[3], x4 = s[4], x5 = s[5], x6 = s[6], x7 = s[7];
  U x8 = s[8], x9 = s[9], x10 = s[10], x11 = s[11], x12 = s[12], x13 = s[13], x14 = s[14];
  U x15 = s[15];
  for (uint32_t round = 0; round < 10; ++round) {
    QuarterRound(x0, x4, x8, x12);
    QuarterRound(x1, x5, x9, x13);
    QuarterRound(x2, x6, x10, x14);
    QuarterRound(x3, x7, x11, x15);
    QuarterRound(x0, x5, x10, x15);
    QuarterRound(x1, x6, x11, x12);
    QuarterRound(x2, x7, x8, x13);
    QuarterRound(x3, x4, x9, x14);
  }
  const U x[16] = {x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15};
  for (uint32_t i = 0; i < 16; ++i) words[i] = x[i] + s[i];
}

// The state of one use in one step: the nonce words are {step, use, 0}, blocks count from 0.
template <typename U>
struct SecretState {
  U word[16];

  void SetKey(uint32_t lane, const SecretKey& key) {
    for (uint32_t i = 0; i < 8; ++i) SetLane(&word[4 + i], lane, key.word[i]);
  }
  void Start(SecretUse use, U step) {
    word[0] = U(0x61707865u);
    word[1] = U(0x3320646Eu);
    word[2] = U(0x79622D32u);
    word[3] = U(0x6B206574u);
    word[12] = U(0u);
    word[13] = step;
    word[14] = U(static_cast<uint32_t>(use));
    word[15] = U(0u);
  }
  void Next(U* words) {  // 16 of them
    ChaCha20(word, words);
    word[12] = word[12] + U(1u);
  }
};

// The same, word by word for one device.
class SecretStream {
 public:
  SecretStream(const SecretKey& key, SecretUse use, uint32_t step);
  uint32_t Next() {
    if (used_ == 16) Refill();
    return block_[used_++];
  }

 private:
  void Refill();

  SecretState<uint32_t> state_;
  uint32_t block_[16];
  uint32_t used_ = 16;
};

}  // namespace tinymia
