#ifndef TINYMIA_BOARDS_RP2040_VECTORS_H_
#define TINYMIA_BOARDS_RP2040_VECTORS_H_

#include <stdint.h>

namespace tinymia {

// RP2040 datasheet 2.3.2; 26 to 31 are wired to nothing.
constexpr uint32_t kInterrupts = 32;
constexpr uint32_t kReceiveIrq = 20 + TINYMIA_UART;
constexpr uint32_t kUnusedIrq = 31;

}  // namespace tinymia

// SysTick's exception has a handler, too.
#define TINYMIA_SYSTICK

#endif  // TINYMIA_BOARDS_RP2040_VECTORS_H_
