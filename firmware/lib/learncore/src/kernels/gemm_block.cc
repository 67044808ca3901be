#include "kernels/gemm_block.h"

#include "kernels/gemm.h"
#include "kernels/requantize.h"

#if defined(TINYMIA_DSP_NATIVE)

namespace tinymia {

static_assert(kBlock == 6 && offsetof(BlockRows, output_end) == 24 &&
                  offsetof(BlockRows, columns) == 32 && offsetof(BlockRows, columns_end) == 40 &&
                  offsetof(BlockRows, zero_point) == 44 && offsetof(BlockRows, min) == 48 &&
                  offsetof(BlockRows, finish) == 56 && offsetof(BlockRows, weights) == 60,
              "MultiplyRows has these offsets built in");

// clang-format off

// r0..r5: the sums of the six columns. r6..r9: elements of two columns. r10, r11: four weights.
// r12: weights. lr: columns. All else is on the stack. 18 instructions for 24 products.
#define TINYMIA_PAIR(a, b)                      \
  "ldmia lr!, {r6-r9}\n\t"                      \
  "smlad " a ", r6, r11, " a "\n\t"             \
  "smlad " a ", r7, r10, " a "\n\t"             \
  "smlad " b ", r8, r11, " b "\n\t"             \
  "smlad " b ", r9, r10, " b "\n\t"

#define TINYMIA_GROUP                           \
  "ldr.w r10, [r12], #4\n\t"                    \
  "sxtb16 r11, r10\n\t"                         \
  "sxtb16 r10, r10, ror #8\n\t"                 \
  TINYMIA_PAIR("r0", "r1")                      \
  TINYMIA_PAIR("r2", "r3")                      \
  TINYMIA_PAIR("r4", "r5")

// The first group of a row: r5 holds the bias, which all sums start from.
#define TINYMIA_FIRST_PAIR(a, b)                \
  "ldmia lr!, {r6-r9}\n\t"                      \
  "smlad " a ", r6, r11, r5\n\t"               \
  "smlad " a ", r7, r10, " a "\n\t"             \
  "smlad " b ", r8, r11, r5\n\t"               \
  "smlad " b ", r9, r10, " b "\n\t"

// ApplyQuick with r9 = doubled multiplier, lr = -2^(31 - shift), r10 = zero point, then to int8. The
// second product is the shift, rounded.
#define TINYMIA_HIGH(sum)  "smmlar " sum ", " sum ", r9, " sum "\n\t"
#define TINYMIA_SIGN(sum)  "add.w " sum ", " sum ", " sum ", asr #31\n\t"
#define TINYMIA_SHIFT(sum)                      \
  "smmlsr " sum ", " sum ", lr, r10\n\t"       \
  "ssat " sum ", #8, " sum "\n\t"
#define TINYMIA_CLAMP(sum)                      \
  "cmp " sum ", r9\n\t"                         \
  "it lt\n\t"                                   \
  "movlt " sum ", r9\n\t"                       \
  "cmp " sum ", lr\n\t"                         \
  "it gt\n\t"                                   \
  "movgt " sum ", lr\n\t"
#define TINYMIA_CUT(sum)    TINYMIA_HIGH(sum) TINYMIA_SHIFT(sum)
#define TINYMIA_ROUND(sum)  TINYMIA_HIGH(sum) TINYMIA_SIGN(sum) TINYMIA_SHIFT(sum)
#define TINYMIA_ALL(step)                       \
  step("r0") step("r1") step("r2") step("r3") step("r4") step("r5")

// In assembly for the loads of four words at once, which compilers do not form, and because a row
// needs all registers. Behind the first group a row enters the chain of eight so that it leaves at
// the chain's end.
__attribute__((naked)) void MultiplyRows(const BlockRows* /*rows*/) {
  asm volatile(
      "push {r4-r11, lr}\n\t"
      "sub sp, #68\n\t"
      "mov r1, sp\n\t"
      "ldmia r0!, {r4-r11}\n\t"
      // Shifts are told from outputs, which advance as they do.
      "sub r8, r8, r6\n\t"
      "stmia r1!, {r4-r11}\n\t"
      "ldmia r0, {r4-r11}\n\t"
      // The other groups of a row modulo eight: 48 bytes of columns and 72 of code each.
      "sub r2, r6, r4\n\t"
      "mov r3, #48\n\t"
      "udiv r2, r2, r3\n\t"
      "adr.w r3, 4f\n\t"
      "cmp r2, #9\n\t"
      "it hi\n\t"
      "adrhi.w r3, 3f\n\t"
      "orr r3, r3, #1\n\t"
      "str r3, [sp, #64]\n\t"
      "subs r2, r2, #1\n\t"
      "rsb r2, r2, #0\n\t"
      "and r2, r2, #7\n\t"
      "it eq\n\t"
      "moveq r2, #8\n\t"
      "add r2, r2, r2, lsl #3\n\t"
      "adr.w r5, 2f\n\t"
      "add r5, r5, r2, lsl #3\n\t"
      "orr r5, r5, #1\n\t"
      "mov r12, r11\n\t"
      "mov r11, r10\n\t"
      // Where the sums become outputs.
      "cmp r10, #0\n\t"
      "ite eq\n\t"
      "adreq.w r10, 5f\n\t"
      "adrne.w r10, 7f\n\t"
      "orr r10, r10, #1\n\t"
      "stmia r1, {r4-r11}\n\t"
      "ldr r6, [sp]\n\t"
      "1:\n\t"
      "ldr r5, [r6]\n\t"
      "ldr.w lr, [sp, #32]\n\t"
      "ldr.w r10, [r12], #4\n\t"
      "sxtb16 r11, r10\n\t"
      "sxtb16 r10, r10, ror #8\n\t"
      TINYMIA_FIRST_PAIR("r0", "r1")
      TINYMIA_FIRST_PAIR("r2", "r3")
      TINYMIA_FIRST_PAIR("r4", "r5")
      "ldr.w pc, [sp, #36]\n\t"
      ".balign 4\n\t"
      "2:\n\t"
      TINYMIA_GROUP TINYMIA_GROUP TINYMIA_GROUP TINYMIA_GROUP
      TINYMIA_GROUP TINYMIA_GROUP TINYMIA_GROUP TINYMIA_GROUP
      "ldr.w pc, [sp, #64]\n\t"
      ".balign 4\n\t"
      "3:\n\t"
      "ldr r6, [sp, #40]\n\t"
      "cmp lr, r6\n\t"
      "bne.w 2b\n\t"
      ".balign 4\n\t"
      "4:\n\t"
      "ldmia.w sp, {r6-r11}\n\t"
      "add r6, r9\n\t"
      "ldr.w r9, [r7], #4\n\t"
      "ldrsb.w r10, [r8, r10]\n\t"
      "mov.w lr, #0x80000000\n\t"
      "asr.w lr, lr, r10\n\t"
      "ldr.w r10, [sp, #44]\n\t"
      "ldr.w pc, [sp, #56]\n\t"
      ".balign 4\n\t"
      "5:\n\t"
      TINYMIA_ALL(TINYMIA_CUT)
      "6:\n\t"
      "strb.w r0, [r8]\n\t"
      "strb.w r1, [r8, r11]\n\t"
      "add r0, r8, r11, lsl #1\n\t"
      "strb r2, [r0]\n\t"
      "strb.w r3, [r0, r11]\n\t"
      "add r0, r0, r11, lsl #1\n\t"
      "strb r4, [r0]\n\t"
      "strb.w r5, [r0, r11]\n\t"
      "add r8, r8, #1\n\t"
      "stmia.w sp, {r6-r8}\n\t"
      "ldrd r0, r1, [sp, #24]\n\t"
      "sub.w r12, r12, r1\n\t"
      "cmp r8, r0\n\t"
      "bne.w 1b\n\t"
      "add sp, #68\n\t"
      "pop {r4-r11, pc}\n\t"
      ".balign 4\n\t"
      "7:\n\t"
      TINYMIA_ALL(TINYMIA_ROUND)
      "ldr.w r10, [sp, #60]\n\t"
      "cmp r10, #2\n\t"
      "bne.w 6b\n\t"
      "ldrd r9, lr, [sp, #48]\n\t"
      TINYMIA_ALL(TINYMIA_CLAMP)
      "b.w 6b\n\t");
}

// r0, r1: sums. r2..r5: eight elements. r6, r7, r8: weights. r9, r10: two rows. r11: column.
#define TINYMIA_HALF(sum, row)                  \
  "ldrd r6, r7, [" row "], #8\n\t"              \
  "sxtb16 r8, r6\n\t"                           \
  "sxtb16 r6, r6, ror #8\n\t"                   \
  "smlad " sum ", r2, r8, " sum "\n\t"          \
  "smlad " sum ", r3, r6, " sum "\n\t"          \
  "sxtb16 r8, r7\n\t"                           \
  "sxtb16 r7, r7, ror #8\n\t"                   \
  "smlad " sum ", r4, r8, " sum "\n\t"          \
  "smlad " sum ", r5, r7, " sum "\n\t"

#define TINYMIA_EIGHT                           \
  "ldmia.w r11!, {r2-r5}\n\t"                   \
  TINYMIA_HALF("r0", "r9")                      \
  TINYMIA_HALF("r1", "r10")

#define TINYMIA_FOUR(sum, row)                  \
  "ldr r6, [" row "]\n\t"                       \
  "sxtb16 r8, r6\n\t"                           \
  "sxtb16 r6, r6, ror #8\n\t"                   \
  "smlad " sum ", r2, r8, " sum "\n\t"          \
  "smlad " sum ", r3, r6, " sum "\n\t"

// Of the chain of four times eight products a row of any length leaves at the end; the last four
// products of an odd number of groups come behind it.
__attribute__((naked)) uint64_t MultiplyTwoRows(const int8_t* /*weights*/, int32_t /*depth*/,
                                                const int16_t* /*column*/) {
  asm volatile(
      "push {r4-r11, lr}\n\t"
      "mov r9, r0\n\t"
      "add r10, r0, r1\n\t"
      "mov r11, r2\n\t"
      "mov r2, r1\n\t"
      "mov r0, #0\n\t"
      "mov r1, #0\n\t"
      "and lr, r2, #4\n\t"
      "lsrs r2, r2, #3\n\t"
      "beq 3f\n\t"
      "add r12, r11, r2, lsl #4\n\t"
      "rsb r2, r2, #0\n\t"
      "and r2, r2, #3\n\t"
      "mov r3, #76\n\t"
      "mul r2, r2, r3\n\t"
      "adr.w r3, 2f\n\t"
      "add r3, r3, r2\n\t"
      "orr r3, r3, #1\n\t"
      "bx r3\n\t"
      ".balign 4\n\t"
      "2:\n\t"
      TINYMIA_EIGHT TINYMIA_EIGHT TINYMIA_EIGHT TINYMIA_EIGHT
      "cmp r11, r12\n\t"
      "bne.w 2b\n\t"
      "3:\n\t"
      "cmp lr, #0\n\t"
      "beq 4f\n\t"
      "ldrd r2, r3, [r11]\n\t"
      TINYMIA_FOUR("r0", "r9")
      TINYMIA_FOUR("r1", "r10")
      "4:\n\t"
      "pop {r4-r11, pc}\n\t");
}

// clang-format on

}  // namespace tinymia

#elif defined(TINYMIA_DSP)

namespace tinymia {

void MultiplyRows(const BlockRows* rows) {
  const int8_t* weights = rows->weights;
  const uint8_t* bias = static_cast<const uint8_t*>(rows->bias);
  const int32_t count = static_cast<int32_t>(rows->output_end - rows->output);
  for (int32_t r = 0; r < count; ++r) {
    int32_t sums[kBlock];
    for (int32_t& sum : sums) memcpy(&sum, bias, sizeof(sum));
    for (const int16_t* x = rows->columns; x != rows->columns_end; weights += 4) {
      const uint32_t word = LoadWord(weights);
      for (int32_t c = 0; c < kBlock; ++c, x += 4) {
        sums[c] = Smlad(LoadWord(x), Sxtb16(word), sums[c]);
        sums[c] = Smlad(LoadWord(x + 2), Sxtb16Odd(word), sums[c]);
      }
    }
    const ChannelScale scale = {rows->doubled[r], rows->shifts[r]};
    for (int32_t c = 0; c < kBlock; ++c) {
      if (!scale.quick()) continue;
      int32_t value = ApplyQuick(sums[c], scale, rows->zero_point);
      value = Clamp(value, INT8_MIN, INT8_MAX);
      rows->output[c * rows->stride + r] =
          static_cast<int8_t>(rows->finish == 2 ? Clamp(value, rows->min, rows->max) : value);
    }
    bias += rows->bias_step;
    weights -= rows->weights_back;
  }
}

uint64_t MultiplyTwoRows(const int8_t* weights, int32_t depth, const int16_t* column) {
  int32_t first = 0;
  int32_t second = 0;
  for (int32_t i = 0; i < depth; i += 4) {
    const uint32_t a = LoadWord(weights + i);
    const uint32_t b = LoadWord(weights + depth + i);
    const uint32_t even = LoadWord(column + i);
    const uint32_t odd = LoadWord(column + i + 2);
    first = Smlad(odd, Sxtb16Odd(a), Smlad(even, Sxtb16(a), first));
    second = Smlad(odd, Sxtb16Odd(b), Smlad(even, Sxtb16(b), second));
  }
  return static_cast<uint64_t>(static_cast<uint32_t>(second)) << 32 | static_cast<uint32_t>(first);
}

}  // namespace tinymia

#endif
