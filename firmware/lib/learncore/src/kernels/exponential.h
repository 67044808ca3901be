// The fixed-point exponential and quotients of gemmlowp (github.com/google/gemmlowp,
// fixedpoint/fixedpoint.h). Qm.n below has m integer bits.
#pragma once

#include <stdint.h>

#include "fixedpoint.h"

namespace tinymia {

inline int32_t SaturatingShiftLeft(int32_t x, int32_t bits) {
  const int64_t wide = static_cast<int64_t>(x) * (INT64_C(1) << bits);
  return static_cast<int32_t>(Min<int64_t>(Max<int64_t>(wide, INT32_MIN), INT32_MAX));
}

// exp(a) for a in [-1/4, 0), Q0.31: the Taylor polynomial of degree 4 around -1/8.
inline int32_t ExpQuarter(int32_t a) {
  constexpr int32_t kExpMinusEighth = 1895147668;
  constexpr int32_t kThird = 715827883;
  const int32_t x = a + (1 << 28);
  const int32_t x2 = RoundingDoublingHighMul(x, x);
  const int32_t x3 = RoundingDoublingHighMul(x2, x);
  const int32_t x4 = RoundingDoublingHighMul(x2, x2);
  const int32_t tail = RoundingDoublingHighMul(RoundingShiftRight(x4, 2) + x3, kThird) + x2;
  return kExpMinusEighth +
         RoundingDoublingHighMul(kExpMinusEighth, x + RoundingShiftRight(tail, 1));
}

// exp(a) in Q0.31 for a <= 0 with kFraction fractional bits (25 or more): a quarter's exponential,
// times the factor of every set bit of the rest.
template <int32_t kFraction>
int32_t ExpNegative(int32_t a) {
  constexpr int32_t kFactors[] = {1672461947, 1302514674, 790015084, 290630308,
                                  39332535,   720401,     242};
  if (a == 0) return INT32_MAX;
  constexpr int32_t kQuarter = 1 << (kFraction - 2);
  const int32_t within = (a & (kQuarter - 1)) - kQuarter;
  const int32_t rest = within - a;
  int32_t result = ExpQuarter(SaturatingShiftLeft(within, 31 - kFraction));
  for (int32_t i = 0; i < 33 - kFraction; ++i) {
    if ((rest & (kQuarter << i)) != 0) result = RoundingDoublingHighMul(result, kFactors[i]);
  }
  return result;
}

// 2 / (1 + a) for a in [0, 1), Q0.31, as Q2.29: three Newton-Raphson steps on the halved
// denominator.
inline int32_t TwoOverOnePlus(int32_t a) {
  constexpr int32_t k48Over17 = 1515870810;        // Q2.29
  constexpr int32_t kMinus32Over17 = -1010580540;  // Q2.29
  constexpr int32_t kOne = 1 << 29;                // Q2.29
  const int32_t half = static_cast<int32_t>((static_cast<int64_t>(a) + INT32_MAX + 1) / 2);
  int32_t x = k48Over17 + RoundingDoublingHighMul(half, kMinus32Over17);
  for (int32_t i = 0; i < 3; ++i) {
    const int32_t error = kOne - RoundingDoublingHighMul(half, x);
    x += SaturatingShiftLeft(RoundingDoublingHighMul(x, error), 2);
  }
  return x;
}

// 1 / (1 + a), Q0.31.
inline int32_t ReciprocalOnePlus(int32_t a) { return SaturatingShiftLeft(TwoOverOnePlus(a), 1); }

// (1 - a) / (1 + a), Q0.31.
inline int32_t OneMinusOverOnePlus(int32_t a) {
  return SaturatingShiftLeft(TwoOverOnePlus(a) - (1 << 29), 2);
}

}  // namespace tinymia
