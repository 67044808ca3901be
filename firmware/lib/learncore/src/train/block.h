// Up to eight neighbours in memory, held in registers.
#pragma once

#include <stdint.h>

namespace tinymia {

template <uint32_t n>
struct Block {
  static constexpr uint32_t kSize = n;
};

template <uint32_t kSize, typename F>
inline void LoadBlock(Block<kSize>, const F* from, F* to) {
#pragma GCC unroll 8
  for (uint32_t j = 0; j < kSize; ++j) to[j] = from[j];
}

// The same, for values that stay while other blocks come and go; the second where each of these
// gives eight intermediate results.
template <uint32_t kSize, typename F>
inline void HoldBlock(Block<kSize> block, const F* from, F* to) {
  LoadBlock(block, from, to);
}
template <uint32_t kSize, typename F>
inline void HoldBlockHigh(Block<kSize> block, const F* from, F* to) {
  LoadBlock(block, from, to);
}

template <uint32_t kSize, typename F>
inline void StoreBlock(Block<kSize>, const F* from, F* to) {
#pragma GCC unroll 8
  for (uint32_t j = 0; j < kSize; ++j) to[j] = from[j];
}

#if defined(__arm__) && defined(__ARM_FP) && (__ARM_FP & 4) != 0
// Eight numbers in one instruction, which compilers do not think of. It wants registers that follow
// each other, so these are named.
#define TINYMIA_LOAD_EIGHT(NAME, R0, R1, R2, R3, R4, R5, R6, R7)                         \
  inline void NAME(Block<8>, const float* from, float* to) {                             \
    register float r0 asm(R0);                                                           \
    register float r1 asm(R1);                                                           \
    register float r2 asm(R2);                                                           \
    register float r3 asm(R3);                                                           \
    register float r4 asm(R4);                                                           \
    register float r5 asm(R5);                                                           \
    register float r6 asm(R6);                                                           \
    register float r7 asm(R7);                                                           \
    asm("vldmia %8, {" R0 "-" R7 "}"                                                     \
        : "=t"(r0), "=t"(r1), "=t"(r2), "=t"(r3), "=t"(r4), "=t"(r5), "=t"(r6), "=t"(r7) \
        : "r"(from), "m"(*reinterpret_cast<const float(*)[8]>(from)));                   \
    to[0] = r0;                                                                          \
    to[1] = r1;                                                                          \
    to[2] = r2;                                                                          \
    to[3] = r3;                                                                          \
    to[4] = r4;                                                                          \
    to[5] = r5;                                                                          \
    to[6] = r6;                                                                          \
    to[7] = r7;                                                                          \
  }

TINYMIA_LOAD_EIGHT(LoadBlock, "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7")
TINYMIA_LOAD_EIGHT(HoldBlock, "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15")
TINYMIA_LOAD_EIGHT(HoldBlockHigh, "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23")
#undef TINYMIA_LOAD_EIGHT

inline void StoreBlock(Block<8>, const float* from, float* to) {
  register float r0 asm("s0") = from[0];
  register float r1 asm("s1") = from[1];
  register float r2 asm("s2") = from[2];
  register float r3 asm("s3") = from[3];
  register float r4 asm("s4") = from[4];
  register float r5 asm("s5") = from[5];
  register float r6 asm("s6") = from[6];
  register float r7 asm("s7") = from[7];
  asm("vstmia %1, {s0-s7}"
      : "=m"(*reinterpret_cast<float(*)[8]>(to))
      : "r"(to), "t"(r0), "t"(r1), "t"(r2), "t"(r3), "t"(r4), "t"(r5), "t"(r6), "t"(r7));
}
#endif

}  // namespace tinymia
