// The few instructions of the Armv7E-M DSP extension that the kernels use. TINYMIA_DSP selects the
// kernels' packed code; TINYMIA_DSP_EMULATION runs the same code on a host, for tests.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__thumb2__)
#define TINYMIA_DSP 1
#define TINYMIA_DSP_NATIVE 1
#elif defined(TINYMIA_DSP_EMULATION)
#define TINYMIA_DSP 1
#endif

namespace tinymia {

inline uint32_t LoadWord(const void* from) {
  uint32_t word;
  memcpy(&word, from, sizeof(word));
  return word;
}
inline void StoreWord(void* to, uint32_t word) { memcpy(to, &word, sizeof(word)); }

#if defined(TINYMIA_DSP_NATIVE)

// Two words at once, at a multiple of 4, which is then moved on.
template <int32_t kStep>
inline void StorePair(int16_t** to, uint32_t first, uint32_t second) {
  asm volatile("strd %1, %2, [%0], %3"
               : "+r"(*to)
               : "r"(first), "r"(second), "n"(kStep * static_cast<int32_t>(sizeof(int16_t)))
               : "memory");
}
// Sign-extends bytes 0 and 2 to halfwords.
inline uint32_t Sxtb16(uint32_t a) {
  uint32_t r;
  asm("sxtb16 %0, %1" : "=r"(r) : "r"(a));
  return r;
}
// Sign-extends bytes 1 and 3 to halfwords.
inline uint32_t Sxtb16Odd(uint32_t a) {
  uint32_t r;
  asm("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(a));
  return r;
}
// The two above, added halfword by halfword to `base`.
inline uint32_t Sxtab16(uint32_t base, uint32_t a) {
  uint32_t r;
  asm("sxtab16 %0, %1, %2" : "=r"(r) : "r"(base), "r"(a));
  return r;
}
inline uint32_t Sxtab16Odd(uint32_t base, uint32_t a) {
  uint32_t r;
  asm("sxtab16 %0, %1, %2, ror #8" : "=r"(r) : "r"(base), "r"(a));
  return r;
}
// a.low, b.low << 16
inline uint32_t Pkhbt(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("pkhbt %0, %1, %2, lsl #16" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
// a.high >> 16, b.high
inline uint32_t Pkhtb(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("pkhtb %0, %1, %2, asr #16" : "=r"(r) : "r"(b), "r"(a));
  return r;
}
// sum + a.low * b.low + a.high * b.high
inline int32_t Smlad(uint32_t a, uint32_t b, int32_t sum) {
  int32_t r;
  asm("smlad %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(sum));
  return r;
}
// sum + a.low * b.low
inline int32_t Smlabb(uint32_t a, uint32_t b, int32_t sum) {
  int32_t r;
  asm("smlabb %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(sum));
  return r;
}
// sum + a.high * b.high
inline int32_t Smlatt(uint32_t a, uint32_t b, int32_t sum) {
  int32_t r;
  asm("smlatt %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(sum));
  return r;
}
// a * b / 2^32 for a b of at least 2^31, rounded to nearest, ties upwards. The instruction takes b
// for a number that is less by 2^32, which `a` makes up for.
inline int32_t MultiplyHigh(int32_t a, uint32_t b) {
  int32_t r;
  asm("smmlar %0, %1, %2, %1" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
inline int32_t SaturateToInt8(int32_t a) {
  int32_t r;
  asm("ssat %0, #8, %1" : "=r"(r) : "r"(a));
  return r;
}
// The larger of each pair of signed bytes. One statement, as it passes flags from line to line.
inline uint32_t MaxBytes(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(r) : "r"(a), "r"(b));
  return r;
}

#else

template <int32_t kStep>
inline void StorePair(int16_t** to, uint32_t first, uint32_t second) {
  const uint32_t both[2] = {first, second};
  memcpy(*to, both, sizeof(both));
  *to += kStep;
}
inline int32_t LowHalf(uint32_t a) { return static_cast<int16_t>(a & 0xffff); }
inline int32_t HighHalf(uint32_t a) { return static_cast<int16_t>(a >> 16); }
inline uint32_t Halves(int32_t low, int32_t high) {
  return (static_cast<uint32_t>(low) & 0xffff) | static_cast<uint32_t>(high) << 16;
}
inline int32_t ByteOf(uint32_t a, int32_t i) { return static_cast<int8_t>((a >> (8 * i)) & 0xff); }

inline uint32_t Pkhbt(uint32_t a, uint32_t b) { return Halves(LowHalf(a), LowHalf(b)); }
inline uint32_t Pkhtb(uint32_t a, uint32_t b) { return Halves(HighHalf(a), HighHalf(b)); }
inline uint32_t Sxtb16(uint32_t a) { return Halves(ByteOf(a, 0), ByteOf(a, 2)); }
inline uint32_t Sxtb16Odd(uint32_t a) { return Halves(ByteOf(a, 1), ByteOf(a, 3)); }
inline uint32_t Sxtab16(uint32_t base, uint32_t a) {
  return Halves(LowHalf(base) + ByteOf(a, 0), HighHalf(base) + ByteOf(a, 2));
}
inline uint32_t Sxtab16Odd(uint32_t base, uint32_t a) {
  return Halves(LowHalf(base) + ByteOf(a, 1), HighHalf(base) + ByteOf(a, 3));
}
inline int32_t Accumulate(int32_t sum, int32_t product) {
  return static_cast<int32_t>(static_cast<uint32_t>(sum) + static_cast<uint32_t>(product));
}
inline int32_t Smlabb(uint32_t a, uint32_t b, int32_t sum) {
  return Accumulate(sum, LowHalf(a) * LowHalf(b));
}
inline int32_t Smlatt(uint32_t a, uint32_t b, int32_t sum) {
  return Accumulate(sum, HighHalf(a) * HighHalf(b));
}
inline int32_t Smlad(uint32_t a, uint32_t b, int32_t sum) {
  return Smlatt(a, b, Smlabb(a, b, sum));
}
inline int32_t MultiplyHigh(int32_t a, uint32_t b) {
  return static_cast<int32_t>((a * static_cast<int64_t>(b) + INT64_C(0x80000000)) >> 32);
}
inline int32_t SaturateToInt8(int32_t a) { return a < -128 ? -128 : a > 127 ? 127 : a; }
inline uint32_t MaxBytes(uint32_t a, uint32_t b) {
  uint32_t r = 0;
  for (int32_t i = 0; i < 4; ++i) {
    const uint32_t mask = 0xffu << (8 * i);
    r |= (ByteOf(a, i) >= ByteOf(b, i) ? a : b) & mask;
  }
  return r;
}

#endif

}  // namespace tinymia
