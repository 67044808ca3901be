// The exact discrete Gaussian (Canonne, Kamath and Steinke, NeurIPS 2020, algorithms 1 to 3), for
// the noise of updates: what many devices add is accounted as a sum of these (Kairouz, Liu and
// Steinke, ICML 2021), which the quicker sampler of train/gaussian.h is not. An update is drawn
// once a round, so its time matters less; how long a draw takes depends on what is drawn.
#pragma once

#include <stdint.h>

#include "../train/noise.h"

namespace tinymia {

// Single bits of a stream, lowest first.
class SecretBits {
 public:
  explicit SecretBits(SecretStream* stream) : stream_(stream) {}
  bool Bit();
  uint32_t Bits(uint32_t count);  // 0 to 32, the first in the highest place

 private:
  SecretStream* stream_;
  uint32_t bits_ = 1;  // those left, below a marker
};

// One draw on the integers with that standard deviation parameter (1 to 2^23).
int32_t DiscreteGaussian(uint32_t sigma, SecretBits* stream);

}  // namespace tinymia
