// What a number of the training core is: one float (a device), or in the twin a vector of them,
// where each lane is one device with its own weights. Code of the core is written once over F and
// uses operators, Select and the functions below only: it has no branch on a value of type F.
//
// A vector type provides the same names (see the twin's vec.h): + - * / and unary -, comparisons
// that give a Mask, Mask & | !, and implicit conversion from float, which fills every lane. Exp,
// Log and Sqrt over F are in fmath.h.
#pragma once

#include <stdint.h>
#include <string.h>

namespace tinymia {

// Lanes<F>: kCount, Mask, Int (int32 lanes), Uint (uint32 lanes).
template <typename F>
struct Lanes;

template <>
struct Lanes<float> {
  static constexpr uint32_t kCount = 1;
  using Mask = bool;
  using Int = int32_t;
  using Uint = uint32_t;
};

template <typename F>
using MaskOf = typename Lanes<F>::Mask;
template <typename F>
using IntOf = typename Lanes<F>::Int;
template <typename F>
using UintOf = typename Lanes<F>::Uint;

// Lanes where the mask holds take `a`. Also for Int and Uint.
inline float Select(bool mask, float a, float b) { return mask ? a : b; }
inline int32_t Select(bool mask, int32_t a, int32_t b) { return mask ? a : b; }
inline uint32_t Select(bool mask, uint32_t a, uint32_t b) { return mask ? a : b; }
inline bool Any(bool mask) { return mask; }
inline bool All(bool mask) { return mask; }

// Bit patterns and conversions, lane by lane.
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
inline int32_t BitsToInt(float value) { return static_cast<int32_t>(FloatToBits(value)); }
inline float IntToBits(int32_t value) { return BitsToFloat(static_cast<uint32_t>(value)); }
inline float ToFloat(int32_t value) { return static_cast<float>(value); }     // to nearest even
inline int32_t Truncate(float value) { return static_cast<int32_t>(value); }  // |value| < 2^31

template <int kBits>
inline uint32_t RotateLeft(uint32_t x) {
  return x << kBits | x >> (32 - kBits);
}

// The larger one; `b` where they are equal or one is no number.
template <typename F>
inline F Larger(F a, F b) {
  return Select(a > b, a, b);
}

// The smaller one; `b` where they are equal or one is no number.
template <typename F>
inline F Smaller(F a, F b) {
  return Select(a < b, a, b);
}
// Lanes of x where 0 < y, or 0 < y < most; 0 elsewhere.
template <typename F>
inline F WhereAbove(F y, F x) {
  return Select(y > F(0.0f), x, F(0.0f));
}
template <typename F>
inline F WhereBetween(F y, F most, F x) {
  return Select(y < most, WhereAbove(y, x), F(0.0f));
}

// One lane.
inline float GetLane(float value, uint32_t) { return value; }
inline int32_t GetLane(int32_t value, uint32_t) { return value; }
inline void SetLane(float* value, uint32_t, float x) { *value = x; }
inline void SetLane(int32_t* value, uint32_t, int32_t x) { *value = x; }
inline void SetLane(uint32_t* value, uint32_t, uint32_t x) { *value = x; }
inline void SetLane(bool* value, uint32_t, bool x) { *value = x; }

// A value that is used several times in a row. (The twin has compilers read vectors once only, not
// at each use: instructions would take them from memory, and loads are what there is least of.)
template <typename F>
inline F InRegister(F x) {
  return x;
}

// All lanes from as many floats.
template <typename F>
inline F FromLanes(const float* values) {
  F x;
  static_assert(sizeof x == sizeof *values * Lanes<F>::kCount, "nothing but its lanes");
  memcpy(&x, values, sizeof x);
  return x;
}

// What is hashed and answered: NaNs of one kind, since processors differ in theirs.
inline float Canonical(float x) { return x == x ? x : BitsToFloat(0x7FC00000u); }

// A mask that always holds, known when compiling: selects with it cost nothing.
struct Always {};
template <typename T>
inline T Select(Always, T a, T) {
  return a;
}
template <typename Mask>
inline Mask Both(Mask a, Always) {
  return a;
}
template <typename Mask>
inline Mask Both(Mask a, Mask b) {
  return a & b;
}

// To the nearest integer, halves to even, for |x| < 2^22. (1.5 * 2^23 makes the low bits of the sum
// the integer.)
template <typename F>
inline IntOf<F> RoundToInt(F x) {
  const F shifted = x + F(12582912.0f);
  return BitsToInt(shifted) - IntOf<F>(0x4B400000);
}

}  // namespace tinymia
