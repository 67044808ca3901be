#ifndef TINYMIA_BOARDS_CORTEX_M_STARTUP_H_
#define TINYMIA_BOARDS_CORTEX_M_STARTUP_H_

#include <stdint.h>

namespace tinymia {

constexpr uint32_t kStackPaint = 0xC5C5C5C5;
constexpr uint32_t kFaultMagic = 0x464C5421;

// Lies in RAM that start-up leaves alone; after power-on it holds anything, hence the check.
struct FaultMemory {
  uint32_t magic, cause, pc, status, check;
};

constexpr uint32_t FaultCheck(uint32_t cause, uint32_t pc, uint32_t status) {
  return ~(cause ^ pc ^ status ^ kFaultMagic);
}

}  // namespace tinymia

extern "C" {
extern uint32_t tinymia_stack_bottom[];
extern uint32_t tinymia_stack_top[];

// A board's own: takes a byte from its UART.
void ReceiveHandler();

// A board's own where it defines TINYMIA_SYSTICK.
void SysTickHandler();

// A board's own where it defines TINYMIA_SUPPLY: comes first, writes no RAM, goes on to
// ResetHandler.
void SupplyHandler();
void ResetHandler();
}

#endif  // TINYMIA_BOARDS_CORTEX_M_STARTUP_H_
