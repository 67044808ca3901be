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
// generator of true random numbers.
SecretKey KeyFromSeed(uint64_t seed);

enum class SecretUse : uint32_t { kPoisson = 1, kNoise = 2 };

// A stream of random words for one use in one step.
class SecretStream {
 public:
  SecretStream(const SecretKey& key, SecretUse use, uint32_t step);
  uint32_t Next();

 private:
  uint32_t state_[16];
  uint32_t block_[16];
  uint32_t used_ = 16;
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
// (1 to 2^23).
int32_t DiscreteGaussian(uint32_t sigma, SecretStream* stream);

}  // namespace tinymia
