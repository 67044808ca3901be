#ifndef TINYMIA_BOARDS_STM32F405_VECTORS_H_
#define TINYMIA_BOARDS_STM32F405_VECTORS_H_

#include <stdint.h>

namespace tinymia {

constexpr uint32_t kInterrupts = 82;  // RM0090 table 61
constexpr uint32_t kReceiveIrq = 37;  // USART1
constexpr uint32_t kUnusedIrq = 81;   // FPU

}  // namespace tinymia

#endif  // TINYMIA_BOARDS_STM32F405_VECTORS_H_
