#ifndef TINYMIA_BOARDS_STM32_CLOCK_H_
#define TINYMIA_BOARDS_STM32_CLOCK_H_

#include <stdint.h>

namespace tinymia {

struct Clocks {
  uint32_t core;
  uint32_t apb1;
  uint32_t apb2;

  // Of the bus that feeds the board's USART.
  uint32_t usart() const { return TINYMIA_UART == 1 || TINYMIA_UART == 6 ? apb2 : apb1; }
};

// Fast, from the internal oscillator, so that no board's crystal must be known. What a simulator
// lacks is found out at run time: then the clocks stay those of the reset.
Clocks StartClock();

// Switches a peripheral on and waits until it takes accesses.
void EnableClock(uint32_t address, uint32_t bit);

// Whether the bits of `mask` become `value`; a PLL locks within 300 us (datasheets), a simulator's
// may never do.
bool WaitFor(uint32_t address, uint32_t mask, uint32_t value);

}  // namespace tinymia

#endif  // TINYMIA_BOARDS_STM32_CLOCK_H_
