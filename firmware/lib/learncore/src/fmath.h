// exp and log from IEEE additions and multiplications only: the same bits on every core and host.
// Polynomials of Cephes' expf and logf (S. Moshier); compile with -ffp-contract=off.
#pragma once

#include <stdint.h>
#include <string.h>

namespace tinymia {

inline float BitsToFloat(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t FloatToBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Relative error below 2e-7; the argument is clamped to [-87, 88], so the result is a normal
// number.
inline float Exp(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = x * 1.44269504088896341f + kRound;
  const float n = shifted - kRound;
  const int32_t exponent =
      static_cast<int32_t>(FloatToBits(shifted)) - static_cast<int32_t>(FloatToBits(kRound));
  const float r = x - n * 0.693359375f - n * -2.12194440e-4f;
  float y = 1.9875691500e-4f;
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * (r * r) + r + 1.0f;
  return y * BitsToFloat(static_cast<uint32_t>(exponent + 127) << 23);
}

// For positive normal arguments; absolute error below 1e-7 near 1, relative error below 2e-7
// elsewhere.
inline float Log(float x) {
  const uint32_t bits = FloatToBits(x);
  int32_t exponent = static_cast<int32_t>(bits >> 23) - 126;
  float m = BitsToFloat((bits & 0x007FFFFFu) | 0x3F000000u);  // in [0.5, 1)
  const bool low = m < 0.707106781186547524f;
  exponent -= low ? 1 : 0;
  m = (low ? m + m : m) - 1.0f;
  const float z = m * m;
  float y = 7.0376836292e-2f;
  y = y * m - 1.1514610310e-1f;
  y = y * m + 1.1676998740e-1f;
  y = y * m - 1.2420140846e-1f;
  y = y * m + 1.4249322787e-1f;
  y = y * m - 1.6668057665e-1f;
  y = y * m + 2.0000714765e-1f;
  y = y * m - 2.4999993993e-1f;
  y = y * m + 3.3333331174e-1f;
  y = y * m * z;
  const float e = static_cast<float>(exponent);
  y = y + e * -2.12194440e-4f;
  y = y - 0.5f * z;
  return m + y + e * 0.693359375f;
}

// The compiler's builtin is one VSQRT or SQRTSS: correctly rounded by IEEE 754, unlike exp and log.
inline float Sqrt(float x) { return __builtin_sqrtf(x); }

}  // namespace tinymia
