// Starts a program on the AN386 in QEMU and ends QEMU behind it. Initial values are not copied.

#include "start.h"

#include <stdint.h>

#define AT(address) (*(volatile uint32_t*)(address))

uint32_t Ticks(void) { return AT(0x40028018); }  // FPGAIO's counter

static void Stop(void) {
  __asm volatile("movs r0, #0x18\n ldr r1, =0x20026\n bkpt 0xab");  // semihosting's exit
  for (;;) {
  }
}

static void Reset(void) {
  AT(0xE000ED88) |= 0xFu << 20;  // the FPU
  __asm volatile("dsb\n isb");
  main();
  Stop();
}

__attribute__((section(".vectors"), used)) static const void* const kVectors[16] = {
    (void*)0x20040000, (void*)Reset, (void*)Stop, (void*)Stop};

void* memcpy(void* to, const void* from, size_t size) {
  for (size_t i = 0; i < size; ++i) ((uint8_t*)to)[i] = ((const uint8_t*)from)[i];
  return to;
}

void* memset(void* to, int value, size_t size) {
  for (size_t i = 0; i < size; ++i) ((uint8_t*)to)[i] = (uint8_t)value;
  return to;
}
