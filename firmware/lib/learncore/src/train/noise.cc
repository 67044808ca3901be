#include "noise.h"

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

// True with probability a / b, for a <= b < 2^63: whether a uniform number is below it, bit by bit
// until one differs (two bits on average).
bool Bernoulli(uint64_t a, uint64_t b, SecretStream* stream) {
  if (a >= b) return true;
  for (;;) {
    a += a;
    const bool bit = a >= b;
    if (bit) a -= b;
    if (stream->Bit() != bit) return bit;
  }
}

// True with probability exp(-a / b); algorithm 1 of Canonne, Kamath and Steinke.
bool BernoulliExp(uint64_t a, uint64_t b, SecretStream* stream) {
  for (;;) {
    const uint64_t part = a < b ? a : b;
    uint32_t k = 1;
    while (Bernoulli(part, b * k, stream)) ++k;
    if (k % 2 == 0) return false;
    if (a <= b) return true;
    a -= b;
  }
}

// Uniform below `count` <= 2^31: numbers of as many bits, until one is.
uint32_t Uniform(uint32_t count, SecretStream* stream) {
  uint32_t bits = 0;
  while ((1u << bits) < count) ++bits;
  for (;;) {
    const uint32_t x = stream->Bits(bits);
    if (x < count) return x;
  }
}

// The discrete Laplace distribution, P(x) ~ exp(-|x| / scale): algorithm 2.
int64_t DiscreteLaplace(uint32_t scale, SecretStream* stream) {
  for (;;) {
    const uint32_t rest = Uniform(scale, stream);
    if (!BernoulliExp(rest, scale, stream)) continue;
    // Ends at 200 (chance exp(-200)), so that no number overflows.
    uint32_t whole = 0;
    while (whole < 200 && BernoulliExp(1, 1, stream)) ++whole;
    const int64_t size = static_cast<int64_t>(whole) * scale + rest;
    const bool negative = stream->Bit();
    if (negative && size == 0) continue;  // zero would come twice as often
    return negative ? -size : size;
  }
}

}  // namespace

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

SecretStream::SecretStream(const SecretKey& key, SecretUse use, uint32_t step)
    : state_{0x61707865u, 0x3320646Eu, 0x79622D32u, 0x6B206574u}, block_{} {
  for (uint32_t i = 0; i < 8; ++i) state_[4 + i] = key.word[i];
  state_[12] = 0;
  state_[13] = step;
  state_[14] = static_cast<uint32_t>(use);
  state_[15] = 0;
}

void SecretStream::Refill() {
  uint32_t* x = block_;
  for (uint32_t i = 0; i < 16; ++i) x[i] = state_[i];
  for (uint32_t round = 0; round < 10; ++round) {
    QuarterRound(x, 0, 4, 8, 12);
    QuarterRound(x, 1, 5, 9, 13);
    QuarterRound(x, 2, 6, 10, 14);
    QuarterRound(x, 3, 7, 11, 15);
    QuarterRound(x, 0, 5, 10, 15);
    QuarterRound(x, 1, 6, 11, 12);
    QuarterRound(x, 2, 7, 8, 13);
    QuarterRound(x, 3, 4, 9, 14);
  }
  for (uint32_t i = 0; i < 16; ++i) x[i] += state_[i];
  ++state_[12];
  used_ = 0;
}

uint32_t SecretStream::Next() {
  if (used_ == 16) Refill();
  return block_[used_++];
}

bool SecretStream::Bit() {
  if (bits_ == 1) {
    const uint32_t word = Next();
    bits_ = word >> 1 | 0x80000000u;
    return (word & 1) != 0;
  }
  const bool bit = (bits_ & 1) != 0;
  bits_ >>= 1;
  return bit;
}

uint32_t SecretStream::Bits(uint32_t count) {
  uint32_t value = 0;
  for (uint32_t i = 0; i < count; ++i) value = value << 1 | (Bit() ? 1u : 0u);
  return value;
}

uint32_t NoiseSigma(float noise_multiplier) {
  return static_cast<uint32_t>(noise_multiplier * (kNoiseGrid * 1.01f)) + 1;
}

int32_t DiscreteGaussian(uint32_t sigma, SecretStream* stream) {
  // Algorithm 3, with a Laplace scale of sigma: the exponent is then (|y| - sigma)^2 / 2 sigma^2.
  const uint64_t twice_variance = static_cast<uint64_t>(sigma) * sigma * 2;
  for (;;) {
    const int64_t y = DiscreteLaplace(sigma, stream);
    const int64_t off = (y < 0 ? -y : y) - sigma;
    if (BernoulliExp(static_cast<uint64_t>(off * off), twice_variance, stream)) {
      return static_cast<int32_t>(y);
    }
  }
}

}  // namespace tinymia
