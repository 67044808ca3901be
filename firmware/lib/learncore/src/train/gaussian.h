// The noise of DP-SGD: a sampler of Gaussian noise on the integers that takes the same instructions
// whatever it draws, for one device or for lanes of them.
//
// Bell() maps a random word to a magnitude and a sign: nearly the quantile function of the normal
// distribution at 2^31 places, in float32 (each operation is rounded as IEEE 754 asks, so it is the
// same map everywhere), then rounded to an integer. By itself its law is coarse: a step of the word
// is many integers in the tails. Gaussian() adds two of independent words. The sum of two wide
// distributions has no fine structure of either left (their characteristic functions multiply), and
// reaches to 9 standard deviations.
//
// What it is worth is not argued but computed: all 2^32 words are put through Bell(), which gives
// its law exactly, in whole numbers, and the law of the sum by convolution (host/tinymia/defenses/
// noise_law.py, tests/test_gaussian.py). Beside q, the law of a normal variable of deviation
// kNoiseGrid that is rounded to the nearest integer, that of the sum, p, is off by |p / q - 1| <
// 1e-6 within 3 deviations. To have rounded a normal variable, to which whole numbers were added,
// changes no claim of the Gaussian mechanism (it is something done to its output), and what p is
// off by is carried in epsilon and delta by the account, see noise_law.py.
//
// The gradient is rounded to whole units before the noise is added, so that sums are exact and no
// floating-point artefact tells what was added (Mironov, CCS 2012). Sources: Micciancio and Walter
// (CRYPTO 2017) for adding up narrow samplers and for measuring by relative error instead of
// statistical distance; Canonne, Kamath and Steinke (NeurIPS 2020) for noise on the integers;
// FrodoKEM and Falcon for samplers in constant time. (Their tables, compared with entry by entry,
// would take 1,500 instructions for a distribution as wide as this one.)
#pragma once

#include <stdint.h>

#include "../fmath.h"
#include "lanes.h"

namespace tinymia {

// Deviation of Gaussian(), and the most units that a clip norm has.
constexpr float kNoiseGrid = 16384.0f;

// The coefficients are fitted by firmware/noise/fit.py for the law of the sum of two.
template <typename F>
inline IntOf<F> Bell(UintOf<F> word) {
  const F place = ToFloat(IntOf<F>(word & UintOf<F>(0x7FFFFFFFu))) + F(0.5f);
  // 2^-31 place is m * 2^-octaves with m in [1, 2); s^2 is 0.55 - log(m) + octaves * log(2).
  const UintOf<F> bits = FloatToBits(place);
  const F octaves = ToFloat(IntOf<F>(UintOf<F>(158u) - (bits >> 23)));
  const F m = BitsToFloat((bits & UintOf<F>(0x007FFFFFu)) | UintOf<F>(0x3F800000u));
  F y = F(-0.030667752f);
  y = y * m + F(0.285467446f);
  y = y * m - F(1.12095714f);
  y = y * m + F(2.44716644f);
  y = y * m - F(3.51925802f);
  y = y * m + F(2.48824048f);
  const F s = Sqrt(y + octaves * F(0.693147181f));
  F x = F(2.24767542f);
  x = x * s - F(43.9824562f);
  x = x * s + F(365.281921f);
  x = x * s - F(1670.16455f);
  x = x * s + F(4518.02002f);
  x = x * s - F(6985.37891f);
  x = x * s + F(4306.78516f);
  x = x * s + F(21405.6348f);
  x = x * s - F(16441.748f);
  return Truncate(x) ^ (IntOf<F>(0) - IntOf<F>(word >> 31));
}

template <typename F>
inline IntOf<F> Gaussian(UintOf<F> first, UintOf<F> second) {
  return Bell<F>(first) + Bell<F>(second) + IntOf<F>(1);
}

// How gradients are counted for a noise multiplier: each example's is rounded to whole units before
// they are added. A clip norm is `clip` units; the noise is Gaussian(), shifted right by `shift`
// with rounding, which is again a rounded normal variable. Its deviation is the multiplier times
// what an example can change the sum by: the clip norm, 1 % for the float norm's error, and the
// rounding, at most sqrt(parameters) / 2.
struct NoiseUnits {
  float clip;   // 0: so much noise on so many parameters that nothing else is left
  float sigma;  // deviation of the noise
  int32_t shift;
};

inline NoiseUnits UnitsOfNoise(float noise_multiplier, uint32_t parameters) {
  NoiseUnits units = {0.0f, kNoiseGrid, 0};
  while (units.sigma > kNoiseGrid * noise_multiplier) {
    units.sigma *= 0.5f;
    ++units.shift;
  }
  const float rounding = 0.5f * Sqrt(static_cast<float>(parameters));
  const float clip = (units.sigma / noise_multiplier - rounding) / 1.01f;
  if (clip > 1.0f) units.clip = clip;
  return units;
}

}  // namespace tinymia
