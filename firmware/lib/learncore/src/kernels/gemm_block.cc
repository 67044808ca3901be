#include "kernels/gemm_block.h"

#include "kernels/requantize.h"

#if defined(TINYMIA_DSP_NATIVE)

namespace tinymia {

static_assert(offsetof(BlockRows, bias_step) == 12 && offsetof(BlockRows, columns) == 16 &&
                  offsetof(BlockRows, doubled_zero_point) == 24 &&
                  offsetof(BlockRows, weights_back) == 32 && offsetof(BlockRows, min) == 40 &&
                  offsetof(BlockRows, weights) == 48,
              "MultiplyRows has these offsets built in");

// clang-format off

// r0..r3: the sums of the four columns. r4..r7: elements of two columns. r8, r9: four weights.
// r10: weights. r11: columns. r12: groups left. lr: the argument.
#define TINYMIA_GROUP          \
  "ldr r8, [r10], #4\n\t"      \
  "ldmia r11!, {r4-r7}\n\t"    \
  "sxtb16 r9, r8\n\t"          \
  "sxtb16 r8, r8, ror #8\n\t"  \
  "smlad r0, r4, r9, r0\n\t"   \
  "smlad r0, r5, r8, r0\n\t"   \
  "smlad r1, r6, r9, r1\n\t"   \
  "smlad r1, r7, r8, r1\n\t"   \
  "ldmia r11!, {r4-r7}\n\t"    \
  "smlad r2, r4, r9, r2\n\t"   \
  "smlad r2, r5, r8, r2\n\t"   \
  "smlad r3, r6, r9, r3\n\t"   \
  "smlad r3, r7, r8, r3\n\t"

// FastMultiplier::Apply with r7 = multiplier, r8 = shift, r9 = addend, then to int8.
#define TINYMIA_SCALE(sum)                      \
  "lsls " sum ", " sum ", #1\n\t"               \
  "smmulr " sum ", " sum ", r7\n\t"             \
  "add " sum ", " sum ", " sum ", asr #31\n\t"  \
  "add " sum ", r9\n\t"                         \
  "asrs " sum ", r8\n\t"                        \
  "ssat " sum ", #8, " sum "\n\t"

#define TINYMIA_CLAMP(sum)   \
  "cmp " sum ", r4\n\t"      \
  "it lt\n\t"                \
  "movlt " sum ", r4\n\t"    \
  "cmp " sum ", r5\n\t"      \
  "it gt\n\t"                \
  "movgt " sum ", r5\n\t"

// In assembly for the loads of four words at once, which compilers do not form, and because a row
// needs all registers: 13 instructions for 16 products.
__attribute__((naked)) void MultiplyRows(BlockRows* /*rows*/) {
  asm volatile(
      "push {r4-r11, lr}\n\t"
      "mov lr, r0\n\t"
      "ldr r10, [lr, #48]\n\t"
      "1:\n\t"
      "ldr r0, [lr]\n\t"
      "ldrd r11, r12, [lr, #16]\n\t"
      "ldr r0, [r0]\n\t"
      "mov r1, r0\n\t"
      "mov r2, r0\n\t"
      "mov r3, r0\n\t"
      "lsrs r12, r12, #1\n\t"
      "bcc 2f\n\t"
      TINYMIA_GROUP
      "beq 3f\n\t"
      "2:\n\t"
      TINYMIA_GROUP
      TINYMIA_GROUP
      "subs r12, r12, #1\n\t"
      "bne 2b\n\t"
      "3:\n\t"
      "ldmia lr, {r4, r5, r6, r12}\n\t"
      "ldrd r7, r8, [r5], #8\n\t"
      "ldrd r9, r11, [lr, #24]\n\t"
      "add r4, r4, r12\n\t"
      "mvn r12, r8\n\t"
      "rsb r8, r8, #0\n\t"
      "lsl r9, r9, r12\n\t"
      "add r12, r6, #1\n\t"
      "stmia lr, {r4, r5, r12}\n\t"
      TINYMIA_SCALE("r0")
      TINYMIA_SCALE("r1")
      TINYMIA_SCALE("r2")
      TINYMIA_SCALE("r3")
      "ldr r4, [lr, #52]\n\t"
      "cbnz r4, 5f\n\t"
      "4:\n\t"
      "strb r0, [r6]\n\t"
      "strb r1, [r6, r11]\n\t"
      "add r6, r6, r11, lsl #1\n\t"
      "strb r2, [r6]\n\t"
      "strb r3, [r6, r11]\n\t"
      "ldrd r4, r5, [lr, #32]\n\t"
      "sub r10, r10, r4\n\t"
      "subs r5, r5, #1\n\t"
      "str r5, [lr, #36]\n\t"
      "bne 1b\n\t"
      "pop {r4-r11, pc}\n\t"
      "5:\n\t"
      "ldrd r4, r5, [lr, #40]\n\t"
      TINYMIA_CLAMP("r0")
      TINYMIA_CLAMP("r1")
      TINYMIA_CLAMP("r2")
      TINYMIA_CLAMP("r3")
      "b 4b\n\t");
}

// clang-format on

}  // namespace tinymia

#elif defined(TINYMIA_DSP)

namespace tinymia {

void MultiplyRows(BlockRows* rows) {
  constexpr int32_t kLanes = 4;
  const int8_t* weights = rows->weights;
  const uint8_t* bias = static_cast<const uint8_t*>(rows->bias);
  for (; rows->rows > 0; --rows->rows) {
    int32_t sums[kLanes];
    for (int32_t& sum : sums) memcpy(&sum, bias, sizeof(sum));
    const int16_t* x = rows->columns;
    for (int32_t i = 0; i < rows->groups; ++i, weights += 4) {
      const uint32_t word = LoadWord(weights);
      for (int32_t c = 0; c < kLanes; ++c, x += 4) {
        sums[c] = Smlad(LoadWord(x), Sxtb16(word), sums[c]);
        sums[c] = Smlad(LoadWord(x + 2), Sxtb16Odd(word), sums[c]);
      }
    }
    const FastMultiplier fast(*rows->multipliers++, (rows->doubled_zero_point - 1) / 2);
    for (int32_t c = 0; c < kLanes; ++c) {
      const int32_t value = Clamp(fast.Apply(sums[c]), INT8_MIN, INT8_MAX);
      rows->output[c * rows->stride] =
          static_cast<int8_t>(rows->clamp != 0 ? Clamp(value, rows->min, rows->max) : value);
    }
    ++rows->output;
    bias += rows->bias_step;
    weights -= rows->weights_back;
  }
}

}  // namespace tinymia

#endif
