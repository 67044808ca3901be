#include "discrete_gaussian.h"

namespace tinymia {
namespace {

// True with probability a / b, for a <= b < 2^63: whether a uniform number is below it, bit by bit
// until one differs (two bits on average).
bool Bernoulli(uint64_t a, uint64_t b, SecretBits* stream) {
  if (a >= b) return true;
  for (;;) {
    a += a;
    const bool bit = a >= b;
    if (bit) a -= b;
    if (stream->Bit() != bit) return bit;
  }
}

// True with probability exp(-a / b); algorithm 1 of Canonne, Kamath and Steinke.
bool BernoulliExp(uint64_t a, uint64_t b, SecretBits* stream) {
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
uint32_t Uniform(uint32_t count, SecretBits* stream) {
  uint32_t bits = 0;
  while ((1u << bits) < count) ++bits;
  for (;;) {
    const uint32_t x = stream->Bits(bits);
    if (x < count) return x;
  }
}

// The discrete Laplace distribution, P(x) ~ exp(-|x| / scale): algorithm 2.
int64_t DiscreteLaplace(uint32_t scale, SecretBits* stream) {
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

bool SecretBits::Bit() {
  if (bits_ == 1) {
    const uint32_t word = stream_->Next();
    bits_ = word >> 1 | 0x80000000u;
    return (word & 1) != 0;
  }
  const bool bit = (bits_ & 1) != 0;
  bits_ >>= 1;
  return bit;
}

uint32_t SecretBits::Bits(uint32_t count) {
  uint32_t value = 0;
  for (uint32_t i = 0; i < count; ++i) value = value << 1 | (Bit() ? 1u : 0u);
  return value;
}

int32_t DiscreteGaussian(uint32_t sigma, SecretBits* stream) {
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
