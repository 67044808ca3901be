#include "clock.h"

#include "registers.h"

namespace tinymia {

using reg::At;

// A peripheral ignores accesses until its clock runs: one cycle and one more of its bus after the
// write (errata sheet ES0182, "Delay after an RCC peripheral clock enabling"; a read back alone is
// known not to do).
void EnableClock(uint32_t address, uint32_t bit) {
  At(address) = At(address) | bit;
  __asm volatile("dsb" ::: "memory");
  for (int i = 0; i < 2; ++i) {
    const uint32_t enabled = At(address);
    static_cast<void>(enabled);
  }
}

bool WaitFor(uint32_t address, uint32_t mask, uint32_t value) {
  constexpr uint32_t kMaxPolls = 20000;
  for (uint32_t i = 0; i < kMaxPolls; ++i) {
    if ((At(address) & mask) == value) return true;
  }
  return false;
}

}  // namespace tinymia
