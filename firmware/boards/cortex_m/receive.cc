#include "receive.h"

#include "hal.h"

namespace tinymia {
namespace {

// The ring's bytes are not volatile: keeps the compiler from moving their accesses across.
void CompilerBarrier() { __asm volatile("" ::: "memory"); }

}  // namespace

Received received;

uint32_t hal::Read(uint8_t* dst, uint32_t max) {
  uint32_t tail = received.tail;
  uint32_t count = received.head - tail;
  if (count > max) count = max;
  CompilerBarrier();
  for (uint32_t i = 0; i < count; ++i) dst[i] = received.ring[tail++ & (kRingSize - 1)];
  CompilerBarrier();  // the room is free only now
  received.tail = tail;
  return count;
}

void hal::WaitForInput() {
  // With interrupts masked a pending one still ends WFI, so no byte can slip in between.
  __asm volatile("cpsid i" ::: "memory");
  if (received.head == received.tail) __asm volatile("dsb\nwfi");
  __asm volatile("cpsie i\nisb" ::: "memory");
}

uint32_t hal::InputOverruns() { return received.overruns; }

}  // namespace tinymia
