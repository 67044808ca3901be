// Square root for cores without an FPU, where the compiler would call libm.
#pragma once

#include <stdint.h>

namespace tinymia {

// Bits of the square root of the float with these bits: correctly rounded (to nearest, ties to
// even), as IEEE 754 asks and VSQRT gives it. A NaN stays one; of a negative number it is a NaN.
inline uint32_t SoftSqrt(uint32_t bits) {
  constexpr uint32_t kInfinity = 0x7F800000;
  constexpr uint32_t kQuietNan = 0x7FC00000;
  constexpr uint32_t kImplicit = 0x00800000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude == 0) return bits;  // keeps the zero's sign
  if (magnitude > kInfinity) return bits | kQuietNan;
  if (bits != magnitude) return kQuietNan;
  if (bits == kInfinity) return bits;

  int32_t exponent = static_cast<int32_t>(bits >> 23);
  uint32_t rest = bits & (kImplicit - 1);
  if (exponent == 0) {
    for (exponent = 1; rest < kImplicit; --exponent) rest <<= 1;
  } else {
    rest |= kImplicit;
  }
  // x = rest * 2^(exponent - 150); make the power of two under the root even.
  exponent -= 127;
  if ((exponent & 1) != 0) rest <<= 1;
  // 25 bits of the root, one a turn: the last one is for rounding. The root so far is root; its
  // square and what it lacks are kept scaled, so that rest needs no more than 27 bits.
  rest <<= 1;
  uint32_t root = 0;
  for (uint32_t bit = 1u << 24; bit != 0; bit >>= 1) {
    const uint32_t trial = 2 * root + bit;
    if (trial <= rest) {
      rest -= trial;
      root += bit;
    }
    rest <<= 1;
  }
  // A root of 25 bits is never half-way between two floats: its square would need 49 bits.
  root = (root + 1) >> 1;
  return root + (static_cast<uint32_t>((exponent >> 1) + 126) << 23);
}

}  // namespace tinymia
