#ifndef TINYMIA_BOARDS_STM32_VECTORS_H_
#define TINYMIA_BOARDS_STM32_VECTORS_H_

#include <stdint.h>

namespace tinymia {

// The longest table of the series; entries that a chip lacks are never taken. USARTs and the FPU
// have the same numbers in all.
#ifdef TINYMIA_STM32F4
constexpr uint32_t kInterrupts = 97;  // the F446 (RM0390 table 38)
#else
constexpr uint32_t kInterrupts = 150;  // the H743 (RM0433 table 145)
#endif
#if TINYMIA_UART == 6
constexpr uint32_t kReceiveIrq = 71;
#else
constexpr uint32_t kReceiveIrq = 36 + TINYMIA_UART;
#endif
constexpr uint32_t kUnusedIrq = 81;  // FPU

}  // namespace tinymia

// The H7's supply comes before everything else.
#ifdef TINYMIA_STM32H7
#define TINYMIA_SUPPLY
#endif

#endif  // TINYMIA_BOARDS_STM32_VECTORS_H_
