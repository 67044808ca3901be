// exp and log from IEEE additions and multiplications only: the same bits on every core and host,
// and in every lane of a vector (see train/lanes.h). Polynomials of Cephes' expf and logf
// (S. Moshier); compile with -ffp-contract=off.
#pragma once

#include <stdint.h>

#include "soft_sqrt.h"
#include "train/lanes.h"

namespace tinymia {

// exp in [-87, 88], where the result is a normal number; relative error below 2e-7.
template <typename F>
inline F ExpInRange(F x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const F shifted = x * F(1.44269504088896341f) + F(kRound);
  const F n = shifted - F(kRound);
  const F r = x - n * F(0.693359375f) - n * F(-2.12194440e-4f);
  F y = F(1.9875691500e-4f);
  y = y * r + F(1.3981999507e-3f);
  y = y * r + F(8.3334519073e-3f);
  y = y * r + F(4.1665795894e-2f);
  y = y * r + F(1.6666665459e-1f);
  y = y * r + F(5.0000001201e-1f);
  y = y * (r * r) + r + F(1.0f);
  // The low bits of `shifted` are n; kRound's own are shifted out.
  return y * BitsToFloat((FloatToBits(shifted) + UintOf<F>(127u)) << 23);
}

// The argument is clamped to that range.
template <typename F>
inline F Exp(F x) {
  x = Select(x < F(-87.0f), F(-87.0f), x);
  return ExpInRange(Select(x > F(88.0f), F(88.0f), x));
}

// The same bits, for arguments up to 0.
template <typename F>
inline F ExpOfNegative(F x) {
  return ExpInRange(Larger(F(-87.0f), x));
}

// For positive normal arguments; absolute error below 1e-7 near 1, relative error below 2e-7
// elsewhere. The sign is not looked at: processors differ in a NaN's.
template <typename F>
inline F Log(F x) {
  const UintOf<F> bits = FloatToBits(x);
  IntOf<F> exponent = static_cast<IntOf<F>>(bits >> 23 & UintOf<F>(0xFFu)) - IntOf<F>(126);
  F m = BitsToFloat((bits & UintOf<F>(0x007FFFFFu)) | UintOf<F>(0x3F000000u));  // in [0.5, 1)
  const MaskOf<F> low = m < F(0.707106781186547524f);
  exponent = exponent - Select(low, IntOf<F>(1), IntOf<F>(0));
  m = Select(low, m + m, m) - F(1.0f);
  const F z = m * m;
  F y = F(7.0376836292e-2f);
  y = y * m - F(1.1514610310e-1f);
  y = y * m + F(1.1676998740e-1f);
  y = y * m - F(1.2420140846e-1f);
  y = y * m + F(1.4249322787e-1f);
  y = y * m - F(1.6668057665e-1f);
  y = y * m + F(2.0000714765e-1f);
  y = y * m - F(2.4999993993e-1f);
  y = y * m + F(3.3333331174e-1f);
  y = y * m * z;
  const F e = ToFloat(exponent);
  y = y + e * F(-2.12194440e-4f);
  y = y - F(0.5f) * z;
  return m + y + e * F(0.693359375f);
}

// The compiler's builtin is one VSQRT or SQRTSS: correctly rounded by IEEE 754, unlike exp and log.
inline float Sqrt(float x) {
#if defined(__arm__) && !defined(__ARM_FP)
  return BitsToFloat(SoftSqrt(FloatToBits(x)));
#else
  return __builtin_sqrtf(x);
#endif
}

}  // namespace tinymia
