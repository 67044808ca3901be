#ifndef TINYMIA_TESTS_CYCLE_CHECK_START_H_
#define TINYMIA_TESTS_CYCLE_CHECK_START_H_

#include <stddef.h>
#include <stdint.h>

int main(void);

// Work is what runs between two of these; the name is that of the firmware's hal::Ticks().
__attribute__((noinline)) uint32_t Ticks(void) __asm__("_ZN7tinymia3hal5TicksEv");

#define MEASURE(work) \
  do {                \
    Ticks();          \
    work;             \
    Ticks();          \
  } while (0)

#endif  // TINYMIA_TESTS_CYCLE_CHECK_START_H_
