// Fixed-point arithmetic of the int8 quantisation scheme: Jacob et al. 2018 (arXiv:1712.05877),
// section 2.2, with the double rounding that TensorFlow Lite Micro's reference kernels use.
// Every result is the same on the host and on the target: no libm, no dependence on `long`.
#pragma once

#include <limits.h>
#include <stdint.h>
#include <string.h>

namespace tinymia {

template <typename T>
constexpr T Min(T a, T b) {
  return a < b ? a : b;
}
template <typename T>
constexpr T Max(T a, T b) {
  return a > b ? a : b;
}

// Signed arithmetic that wraps: models are untrusted, so a sum may overflow, but never undefined.
inline int32_t WrapAdd(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}
inline int32_t WrapShiftLeft(int32_t a, int32_t bits) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) << bits);
}

// a * b * 2 / 2^32, rounded to nearest, ties upwards; saturates the one product that overflows.
inline int32_t RoundingDoublingHighMul(int32_t a, int32_t b) {
  if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
  return static_cast<int32_t>((static_cast<int64_t>(a) * b + (INT64_C(1) << 30)) >> 31);
}

// x / 2^exponent, rounded to nearest, ties away from zero; exponent in [0, 31].
inline int32_t RoundingShiftRight(int32_t x, int32_t exponent) {
  const int32_t mask = static_cast<int32_t>((INT64_C(1) << exponent) - 1);
  const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> exponent) + ((x & mask) > threshold ? 1 : 0);
}

// A positive real multiplier as multiplier / 2^31 * 2^shift; multiplier is 0 or >= 2^30.
struct FixedMultiplier {
  int32_t multiplier;
  int32_t shift;  // > 0: to the left
};

inline int32_t MultiplyByFixed(int32_t x, FixedMultiplier m) {
  const int32_t left = m.shift > 0 ? m.shift : 0;
  const int32_t right = m.shift > 0 ? 0 : -m.shift;
  return RoundingShiftRight(RoundingDoublingHighMul(WrapShiftLeft(x, left), m.multiplier), right);
}

// Splits a finite value >= 0 by its IEEE 754 bits. False when it needs more than 30 bits to the
// left (no sane model does, and the shift would be undefined). Below 2^-32 it is flushed to zero.
inline bool QuantizeMultiplier(double value, FixedMultiplier* out) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof(bits));
  const int32_t exponent = static_cast<int32_t>(bits >> 52);
  out->multiplier = 0;
  out->shift = 0;
  if (exponent == 0) return true;       // zero or subnormal
  if (exponent >= 0x7ff) return false;  // infinite, not a number, or negative
  const uint64_t mantissa = (bits & ((UINT64_C(1) << 52) - 1)) | (UINT64_C(1) << 52);
  uint64_t fixed = (mantissa + (UINT64_C(1) << 21)) >> 22;
  int32_t shift = exponent - 1022;
  if (fixed == UINT64_C(1) << 31) {
    fixed >>= 1;
    ++shift;
  }
  if (shift < -31) return true;
  if (shift > 30) return false;
  out->multiplier = static_cast<int32_t>(fixed);
  out->shift = shift;
  return true;
}

inline bool IsFinite(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return (bits & 0x7f800000u) != 0x7f800000u;
}

// round(value), ties away from zero. False when the result does not fit.
inline bool RoundToInt(float value, int32_t* out) {
  if (!(value > -2147483648.0f && value < 2147483648.0f)) return false;
  const int32_t whole = static_cast<int32_t>(value);
  const float rest = value - static_cast<float>(whole);
  *out = whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
  return true;
}

inline int32_t Clamp(int32_t value, int32_t low, int32_t high) {
  return Min(Max(value, low), high);
}

}  // namespace tinymia
