// Noise of DP-SGD on the integers: ChaCha20 (RFC 8439) as generator and an exact sampler of the
// discrete Gaussian (Canonne, Kamath and Steinke, NeurIPS 2020, algorithms 1 to 3), so that no
// floating-point artefact tells what was added (Mironov, CCS 2012).
#pragma once

#include <stdint.h>

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

// A stream of random words for one use in one step: ChaCha20 with the nonce words {step, use, 0},
// from block 0 on.
class SecretStream {
 public:
  SecretStream(const SecretKey& key, SecretUse use, uint32_t step);
  uint32_t Next();
  bool Bit();                     // lowest first, from words of Next()
  uint32_t Bits(uint32_t count);  // 0 to 32, the first in the highest place

 private:
  void Refill();

  uint32_t state_[16];
  uint32_t block_[16];
  uint32_t used_ = 16;
  uint32_t bits_ = 1;  // those left, below a marker
};

// Gradients are counted in units of clip_norm / kNoiseGrid, each example's rounded to whole units
// before they are added, so that sums are exact and one example changes the sum by no more than
// the clip norm and the rounding.
constexpr float kNoiseGrid = 65536.0f;
constexpr float kMaxNoiseMultiplier = 64.0f;

// Standard deviation in those units: the multiplier times the bound, raised by 1 % to cover the
// rounding (at most sqrt(parameters) / 2 units) and the float norm's error; a whole number.
uint32_t NoiseSigma(float noise_multiplier);

// One draw of the discrete Gaussian on the integers with that standard deviation parameter
// (1 to 2^23). How long it takes depends on what is drawn.
int32_t DiscreteGaussian(uint32_t sigma, SecretStream* stream);

}  // namespace tinymia
