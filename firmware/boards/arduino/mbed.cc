// What Arduino's API does not have, from Mbed OS, which Arduino's own core for the Nano 33 BLE and
// the Pico stands on: cycles, the main thread's stack, faults and resets.

#include <cmsis.h>
#include <platform/internal/mbed_fault_handler.h>
#include <platform/mbed_error.h>
#include <platform/mbed_interface.h>
#include <rtx_os.h>

#include "chip.h"
#include "core.h"
#include "hal.h"
#include "startup.h"

extern "C" mbed_fault_context_t mbed_fault_context;  // registers at the last fault

namespace tinymia {
namespace {

// Why the framework gave up outside of any exception: out of memory, a thread's stack overflowed.
constexpr uint32_t kFrameworkCause = 255;

__attribute__((section(".noinit.tinymia"))) volatile FaultMemory fault_memory;
hal::FaultRecord last_fault;
bool has_dwt;

const osRtxThread_t* Thread() { return static_cast<osRtxThread_t*>(osThreadGetId()); }

// The kernel keeps its mark in the lowest word and stops the program when it is gone.
volatile uint32_t* StackBottom() { return static_cast<uint32_t*>(Thread()->stack_mem) + 1; }

void PaintStack() {
  uint32_t* sp;
  __asm volatile("mov %0, sp" : "=r"(sp));
  for (volatile uint32_t* p = StackBottom(); p < sp; ++p) *p = kStackPaint;
}

void StartTicks() {
#ifndef __ARM_ARCH_6M__
  reg::At(reg::kDemcr) = reg::At(reg::kDemcr) | reg::kDemcrTrace;
  reg::At(reg::kDwtCtrl) = reg::At(reg::kDwtCtrl) | 1u;
  const uint32_t before = reg::At(reg::kDwtCycCnt);
  for (int i = 0; i < 16; ++i) __asm volatile("nop");
  has_dwt = reg::At(reg::kDwtCycCnt) != before;
#endif
}

}  // namespace

void StartChip() {
  if (fault_memory.magic == kFaultMagic &&
      fault_memory.check == FaultCheck(fault_memory.cause, fault_memory.pc, fault_memory.status)) {
    last_fault = {fault_memory.cause, fault_memory.pc, fault_memory.status};
  }
  fault_memory.magic = 0;
  PaintStack();
  StartTicks();
}

namespace hal {

// Interrupts of USB and of the kernel are counted, too: what a computation costs varies a little.
// Without a DWT (Cortex-M0+) the kernel's timer counts; it is SysTick, at the core's clock.
uint32_t Ticks() { return has_dwt ? reg::At(reg::kDwtCycCnt) : osKernelGetSysTimerCount(); }

TickSource GetTickSource() {
  return TicksPerSecond() == CoreClockHz() ? TickSource::kCycles : TickSource::kTimer;
}

uint32_t TicksPerSecond() { return has_dwt ? CoreClockHz() : osKernelGetSysTimerFreq(); }

uint32_t CoreClockHz() { return SystemCoreClock; }

uint32_t StackSize() { return Thread()->stack_size; }

uint32_t StackHighWater() {
  const uint32_t most = StackSize() - sizeof(uint32_t);
  const volatile uint32_t* bottom = StackBottom();
  uint32_t unused = 0;
  while (unused < most && bottom[unused / sizeof(uint32_t)] == kStackPaint) {
    unused += sizeof(uint32_t);
  }
  return most - unused;
}

FaultRecord LastFault() { return last_fault; }

void Reset() {
  NVIC_SystemReset();
  for (;;) {
  }
}

}  // namespace hal
}  // namespace tinymia

// Where Mbed OS ends after a fault, an assertion or an error. Its own blinks for ever; this leaves
// a record and restarts, so that the host sees a fresh handshake, not silence.
void mbed_die() {
  using namespace tinymia;
  const uint32_t exception = __get_IPSR();
  mbed_error_ctx error = {};
  mbed_get_last_error_info(&error);
  fault_memory.cause = exception != 0 ? exception : kFrameworkCause;
  fault_memory.pc = exception != 0 ? mbed_fault_context.PC_reg : error.error_address;
  fault_memory.status = static_cast<uint32_t>(error.error_status);
  fault_memory.check = FaultCheck(fault_memory.cause, fault_memory.pc, fault_memory.status);
  fault_memory.magic = kFaultMagic;
  hal::Reset();
}
