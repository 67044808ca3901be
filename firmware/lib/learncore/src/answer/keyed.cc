#include "keyed.h"

#include <string.h>

namespace tinymia {
namespace {

uint32_t RotateLeft(uint32_t x, uint32_t by) { return x << by | x >> (32 - by); }

void QuarterRound(uint32_t* x, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  x[a] += x[b];
  x[d] = RotateLeft(x[d] ^ x[a], 16);
  x[c] += x[d];
  x[b] = RotateLeft(x[b] ^ x[c], 12);
  x[a] += x[b];
  x[d] = RotateLeft(x[d] ^ x[a], 8);
  x[c] += x[d];
  x[b] = RotateLeft(x[b] ^ x[c], 7);
}

// The first half of the ChaCha20 block of that key and four input words becomes the key.
void Absorb(SecretKey* key, const uint32_t* input) {
  uint32_t start[16] = {0x61707865u, 0x3320646Eu, 0x79622D32u, 0x6B206574u};
  memcpy(start + 4, key->word, sizeof key->word);
  memcpy(start + 12, input, 16);
  uint32_t x[16];
  memcpy(x, start, sizeof x);
  for (uint32_t round = 0; round < 10; ++round) {
    for (uint32_t i = 0; i < 4; ++i) QuarterRound(x, i, 4 + i, 8 + i, 12 + i);
    for (uint32_t i = 0; i < 4; ++i) {
      QuarterRound(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
    }
  }
  for (uint32_t i = 0; i < 8; ++i) key->word[i] = x[i] + start[i];
}

// Chances of the binary digits of a geometric number with ratio exp(-1/32), in steps of 2^-64.
constexpr uint64_t kDigits[] = {
    0x7E000AAA66682077u, 0x7C00554CCDA9C43Bu, 0x7802A99A07F3CA3Fu, 0x7015336A1DA3E582u,
    0x60A6815965E37A0Fu, 0x44D9585152EA1936u, 0x1E84152BAC31AEAAu, 0x049ABE8790F0B0B3u,
    0x0015FA3DD7D2F7A6u, 0x000001E355B81E5Cu, 0x000000000003908Du,
};

// Half words of a stream.
class Halves {
 public:
  explicit Halves(SecretStream* stream) : stream_(stream) {}
  uint32_t Next() {
    has_ = !has_;
    if (!has_) return word_ & 0xFFFFu;
    word_ = stream_->Next();
    return word_ >> 16;
  }

 private:
  SecretStream* stream_;
  uint32_t word_ = 0;
  bool has_ = false;
};

// Whether a uniform number of 64 bits is below `chance`, 16 bits at a time until they differ.
bool IsBelow(uint64_t chance, Halves* halves) {
  for (uint32_t shift = 48;; shift -= 16) {
    const uint32_t wanted = static_cast<uint32_t>(chance >> shift) & 0xFFFFu;
    const uint32_t drawn = halves->Next();
    if (drawn != wanted || shift == 0) return drawn < wanted;
  }
}

int32_t Geometric(Halves* halves) {
  uint32_t value = 0;
  for (uint32_t i = 0; i < sizeof kDigits / sizeof kDigits[0]; ++i) {
    value |= (IsBelow(kDigits[i], halves) ? 1u : 0u) << i;
  }
  return static_cast<int32_t>(value);
}

}  // namespace

SecretKey QueryKey(const SecretKey& device, uint32_t epoch, const int8_t* features, uint32_t bytes,
                   uint32_t training) {
  SecretKey key = device;
  // "answ": no other use of a device's key begins so.
  uint32_t words[4] = {0x77736E61u, epoch, bytes, training};
  Absorb(&key, words);
  for (uint32_t at = 0; at < bytes; at += 16) {
    const uint32_t left = bytes - at;
    memset(words, 0, sizeof words);
    memcpy(words, features + at, left < 16 ? left : 16);
    Absorb(&key, words);
  }
  return key;
}

int32_t DiscreteLaplace32(SecretStream* stream) {
  Halves halves(stream);
  const int32_t up = Geometric(&halves);
  return up - Geometric(&halves);
}

}  // namespace tinymia
