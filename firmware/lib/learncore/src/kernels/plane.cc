#include "kernels/plane.h"

#include "kernels/requantize.h"

#if defined(TINYMIA_DSP_NATIVE)

namespace tinymia {

static_assert(offsetof(PlaneFilter, bias) == 12 && offsetof(PlaneFilter, weights) == 16 &&
                  offsetof(PlaneFilter, row) == 40 && offsetof(PlaneFilter, fours_bytes) == 48 &&
                  offsetof(PlaneFilter, last_row) == 56 && offsetof(PlaneFilter, rest) == 60 &&
                  offsetof(PlaneFilter, output) == 64 && offsetof(PlaneFilter, pitch) == 72 &&
                  offsetof(PlaneFilter, finish_four) == 76 && offsetof(PlaneFilter, left) == 88,
              "FilterPlane has these offsets built in");

// clang-format off

// r0..r3: sums. r4..r8: pairs of inputs, as many as are needed. r9, r10: weights of one row.
// r11: bias. r12: inputs. lr: pitch. r7, r8: output and its stride, where they are no inputs.
// The rest is on the stack.

// Products of one row of the filter with four or two outputs, which start from a, b, c, d.
#define TINYMIA_FOUR_BY_ONE(weights, a, b, c, d)  \
  "ldrd r9, r10, [sp, #" weights "]\n\t"          \
  "ldmia.w r12, {r4-r6}\n\t"                      \
  "smlad r0, r4, r9, " a "\n\t"                   \
  "smlatb r1, r4, r9, " b "\n\t"                  \
  "smlad r2, r5, r9, " c "\n\t"                   \
  "smlatb r3, r5, r9, " d "\n\t"                  \
  "smlabt r0, r5, r10, r0\n\t"                    \
  "smlad r1, r5, r10, r1\n\t"                     \
  "smlabt r2, r6, r10, r2\n\t"                    \
  "smlad r3, r6, r10, r3\n\t"
#define TINYMIA_TWO_BY_ONE(weights, a, b)         \
  "ldrd r9, r10, [sp, #" weights "]\n\t"          \
  "ldrd r4, r5, [r12]\n\t"                        \
  "smlad r0, r4, r9, " a "\n\t"                   \
  "smlatb r1, r4, r9, " b "\n\t"                  \
  "smlabt r0, r5, r10, r0\n\t"                    \
  "smlad r1, r5, r10, r1\n\t"
#define TINYMIA_FOUR_BY_TWO(weights, a, b, c, d)  \
  "ldrd r9, r10, [sp, #" weights "]\n\t"          \
  "ldmia.w r12, {r4-r8}\n\t"                      \
  "smlad r0, r4, r9, " a "\n\t"                   \
  "smlad r1, r5, r9, " b "\n\t"                   \
  "smlad r2, r6, r9, " c "\n\t"                   \
  "smlad r3, r7, r9, " d "\n\t"                   \
  "smlabt r0, r5, r10, r0\n\t"                    \
  "smlabt r1, r6, r10, r1\n\t"                    \
  "smlabt r2, r7, r10, r2\n\t"                    \
  "smlabt r3, r8, r10, r3\n\t"
#define TINYMIA_TWO_BY_TWO(weights, a, b)         \
  "ldrd r9, r10, [sp, #" weights "]\n\t"          \
  "ldmia.w r12, {r4-r6}\n\t"                      \
  "smlad r0, r4, r9, " a "\n\t"                   \
  "smlad r1, r5, r9, " b "\n\t"                   \
  "smlabt r0, r5, r10, r0\n\t"                    \
  "smlabt r1, r6, r10, r1\n\t"

#define TINYMIA_ROWS_OF_FOUR(row)                 \
  row("16", "r11", "r11", "r11", "r11")           \
  "add r12, lr\n\t"                               \
  row("24", "r0", "r1", "r2", "r3")               \
  "add r12, lr\n\t"                               \
  row("32", "r0", "r1", "r2", "r3")               \
  "sub.w r12, r12, lr, lsl #1\n\t"
#define TINYMIA_ROWS_OF_TWO(row)                  \
  row("16", "r11", "r11")                         \
  "add r12, lr\n\t"                               \
  row("24", "r0", "r1")                           \
  "add r12, lr\n\t"                               \
  row("32", "r0", "r1")                           \
  "sub.w r12, r12, lr, lsl #1\n\t"

// ApplyQuick with r4 = doubled multiplier, r5 = -2^(31 - shift), r6 = zero point, then to int8.
#define TINYMIA_HIGH(sum)  "smmlar " sum ", " sum ", r4, " sum "\n\t"
#define TINYMIA_SIGN(sum)  "add.w " sum ", " sum ", " sum ", asr #31\n\t"
#define TINYMIA_SHIFT(sum)                        \
  "smmlsr " sum ", " sum ", r5, r6\n\t"          \
  "ssat " sum ", #8, " sum "\n\t"
#define TINYMIA_CUT(sum)    TINYMIA_HIGH(sum) TINYMIA_SHIFT(sum)
#define TINYMIA_ROUND(sum)  TINYMIA_HIGH(sum) TINYMIA_SIGN(sum) TINYMIA_SHIFT(sum)

#define TINYMIA_LOAD_OUTPUT   "ldrd r7, r8, [sp, #64]\n\t"
#define TINYMIA_STORE_OUTPUT  "str r7, [sp, #64]\n\t"

#define TINYMIA_FILTER(four, four_step, two, two_step, load_output, store_output) \
  "push {r4-r11, lr}\n\t"                         \
  "sub sp, #92\n\t"                               \
  "mov r1, sp\n\t"                                \
  "ldmia r0!, {r4-r11}\n\t"                       \
  "stmia r1!, {r4-r11}\n\t"                       \
  "ldmia r0!, {r4-r11}\n\t"                       \
  "stmia r1!, {r4-r11}\n\t"                       \
  "ldmia r0, {r4-r10}\n\t"                        \
  "cmp r9, #0\n\t"                                \
  "itete ne\n\t"                                  \
  "adrne.w r7, 15f\n\t"                           \
  "adreq.w r7, 17f\n\t"                           \
  "adrne.w r8, 25f\n\t"                           \
  "adreq.w r8, 27f\n\t"                           \
  "orr r7, r7, #1\n\t"                            \
  "orr r8, r8, #1\n\t"                            \
  "stmia r1, {r4-r10}\n\t"                        \
  "mov lr, r6\n\t"                                \
  TINYMIA_LOAD_OUTPUT                             \
  "ldr.w r11, [sp, #12]\n\t"                      \
  "ldr.w r12, [sp, #40]\n\t"                      \
  /* A row. */                                    \
  "1:\n\t"                                        \
  "ldr r4, [sp, #48]\n\t"                         \
  "cmp r4, #0\n\t"                                \
  "beq.w 3f\n\t"                                  \
  "add r4, r12\n\t"                               \
  "str r4, [sp, #52]\n\t"                         \
  "2:\n\t"                                        \
  TINYMIA_ROWS_OF_FOUR(four)                      \
  "add.w r12, r12, #" four_step "\n\t"            \
  "ldmia.w sp, {r4-r6}\n\t"                       \
  "ldr.w pc, [sp, #76]\n\t"                       \
  ".balign 4\n\t"                                 \
  "15:\n\t"                                       \
  TINYMIA_CUT("r0") TINYMIA_CUT("r1") TINYMIA_CUT("r2") TINYMIA_CUT("r3") \
  "16:\n\t"                                       \
  load_output                                     \
  "ldr r4, [sp, #52]\n\t"                         \
  "strb r0, [r7]\n\t"                             \
  "strb.w r1, [r7, r8]\n\t"                       \
  "add.w r7, r7, r8, lsl #1\n\t"                  \
  "strb r2, [r7]\n\t"                             \
  "strb.w r3, [r7, r8]\n\t"                       \
  "add.w r7, r7, r8, lsl #1\n\t"                  \
  store_output                                    \
  "cmp r12, r4\n\t"                               \
  "bne.w 2b\n\t"                                  \
  "3:\n\t"                                        \
  "ldr r4, [sp, #60]\n\t"                         \
  "cmp r4, #0\n\t"                                \
  "bne.w 8f\n\t"                                  \
  "4:\n\t"                                        \
  "ldr.w r12, [sp, #40]\n\t"                      \
  "ldr r4, [sp, #44]\n\t"                         \
  "ldr r5, [sp, #56]\n\t"                         \
  "add r12, r4\n\t"                               \
  "str.w r12, [sp, #40]\n\t"                      \
  "cmp r12, r5\n\t"                               \
  "bne.w 1b\n\t"                                  \
  "add sp, #92\n\t"                               \
  "pop {r4-r11, pc}\n\t"                          \
  /* What is left of a row, two by two. */        \
  "8:\n\t"                                        \
  "str r4, [sp, #88]\n\t"                         \
  "9:\n\t"                                        \
  TINYMIA_ROWS_OF_TWO(two)                        \
  "add.w r12, r12, #" two_step "\n\t"             \
  "ldmia.w sp, {r4-r6}\n\t"                       \
  "ldr.w pc, [sp, #80]\n\t"                       \
  ".balign 4\n\t"                                 \
  "25:\n\t"                                       \
  TINYMIA_CUT("r0") TINYMIA_CUT("r1")             \
  "26:\n\t"                                       \
  load_output                                     \
  "ldr r4, [sp, #88]\n\t"                         \
  "strb r0, [r7]\n\t"                             \
  "add r7, r8\n\t"                                \
  "subs r4, #1\n\t"                               \
  "beq 10f\n\t"                                   \
  "strb r1, [r7]\n\t"                             \
  "add r7, r8\n\t"                                \
  "subs r4, #1\n\t"                               \
  "10:\n\t"                                       \
  store_output                                    \
  "beq.w 4b\n\t"                                  \
  "b 8b\n\t"                                      \
  ".balign 4\n\t"                                 \
  "17:\n\t"                                       \
  TINYMIA_ROUND("r0") TINYMIA_ROUND("r1") TINYMIA_ROUND("r2") TINYMIA_ROUND("r3") \
  "b.w 16b\n\t"                                   \
  ".balign 4\n\t"                                 \
  "27:\n\t"                                       \
  TINYMIA_ROUND("r0") TINYMIA_ROUND("r1")         \
  "b.w 26b\n\t"

// In assembly for the same reasons as MultiplyRows: 24 instructions load and multiply 36 times.
__attribute__((naked)) void FilterPlane(const PlaneFilter& /*filter*/) {
  asm volatile(TINYMIA_FILTER(TINYMIA_FOUR_BY_ONE, "8", TINYMIA_TWO_BY_ONE, "4", "", ""));
}

__attribute__((naked)) void FilterPlaneByTwo(const PlaneFilter& /*filter*/) {
  asm volatile(TINYMIA_FILTER(TINYMIA_FOUR_BY_TWO, "16", TINYMIA_TWO_BY_TWO, "8",
                              TINYMIA_LOAD_OUTPUT, TINYMIA_STORE_OUTPUT));
}

// clang-format on

}  // namespace tinymia

#elif defined(TINYMIA_DSP)

namespace tinymia {
namespace {

void Filter(const PlaneFilter& f, int32_t step) {
  const int32_t width = f.fours_bytes / (2 * step) + f.rest;
  const int32_t pitch = f.pitch / 2;
  int8_t* output = f.output;
  for (const int16_t* row = f.row; row != f.last_row; row += f.row_step / 2) {
    for (int32_t x = 0; x < width; ++x, output += f.stride) {
      const int16_t* at = row + x * step;
      int32_t sum = f.bias;
      for (int32_t ky = 0; ky < 3; ++ky, at += pitch) {
        const uint32_t last = static_cast<uint16_t>(at[2]);
        sum = Smlad(LoadWord(at), f.weights[2 * ky], sum);
        sum = Smlabb(last, f.weights[2 * ky + 1] >> 16, sum);
      }
      int32_t shift = 0;
      while (f.shift_factor * (INT64_C(1) << shift) > INT32_MIN) ++shift;
      const int32_t value = ApplyQuick(sum, {f.doubled, shift}, f.zero_point);
      *output = static_cast<int8_t>(Clamp(value, INT8_MIN, INT8_MAX));
    }
  }
}

}  // namespace

void FilterPlane(const PlaneFilter& filter) { Filter(filter, 1); }
void FilterPlaneByTwo(const PlaneFilter& filter) { Filter(filter, 2); }

}  // namespace tinymia

#endif
