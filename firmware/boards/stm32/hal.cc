// Board layer of the STM32 series F4, F7, H7 and L4. An image runs on its chip, in QEMU
// (netduinoplus2: no RCC, no DWT) and in Renode, so everything that may be missing is found out at
// run time.

#include "hal.h"

#include <stdint.h>

#include "clock.h"
#include "receive.h"
#include "registers.h"
#include "startup.h"
#include "vectors.h"

namespace tinymia::hal {
namespace {

using reg::At;

volatile uint32_t* tick_register;
TickSource tick_source;
volatile uint32_t interrupt_ticks;  // spent in the receive interrupt so far
uint32_t interrupt_overhead;        // part of it that the handler cannot see itself
uint32_t core_hz;

void SelectUsartPin(uint32_t port, uint32_t pin) {
  EnableClock(reg::kGpioClock, 1u << port);
  const uint32_t base = reg::kGpio + port * reg::kGpioStride;
  const uint32_t two_bits = 2 * pin;
  volatile uint32_t& mode = At(base + reg::kGpioModer);
  volatile uint32_t& pull = At(base + reg::kGpioPupdr);
  volatile uint32_t& alternate = At(base + reg::kGpioAfrl + 4 * (pin / 8));
  const uint32_t nibble = 4 * (pin % 8);
  alternate = (alternate & ~(0xFu << nibble)) | (reg::kUsartFunction << nibble);
  pull = (pull & ~(3u << two_bits)) | (1u << two_bits);  // idle line reads high
  mode = (mode & ~(3u << two_bits)) | (2u << two_bits);
}

void StartUsart(uint32_t bus_hz) {
  SelectUsartPin(TINYMIA_TX_PORT, TINYMIA_TX_PIN);
  SelectUsartPin(TINYMIA_RX_PORT, TINYMIA_RX_PIN);
  EnableClock(reg::kUsartClock, reg::kUsartClockBit);
  // With 16-fold oversampling BRR is simply the clock divided by the rate (RM0090 30.3.4).
  At(reg::kUsartBrr) = (bus_hz + TINYMIA_BAUD / 2) / TINYMIA_BAUD;
  At(reg::kUsartCr1) =
      reg::kUsartCr1Enable | reg::kUsartCr1Rx | reg::kUsartCr1Tx | reg::kUsartCr1RxInterrupt;
  reg::EnableInterrupt(kReceiveIrq);
}

void StartTicks() {
  At(reg::kDemcr) = At(reg::kDemcr) | reg::kDemcrTrace;
#ifdef TINYMIA_DCACHE
  At(reg::kDwtLar) = reg::kDwtUnlock;  // the M7's are locked
#endif
  At(reg::kDwtCtrl) = At(reg::kDwtCtrl) | 1u;
  const uint32_t before = At(reg::kDwtCycCnt);
  for (int i = 0; i < 16; ++i) __asm volatile("nop");
  if (At(reg::kDwtCycCnt) != before) {
    tick_source = TickSource::kCycles;
    tick_register = &At(reg::kDwtCycCnt);
    return;
  }
  // Prescaler and reload value keep their reset values: 0 and 2^32-1. (QEMU's reload value is 0 and
  // must stay so: setting it would start its alarm.)
  EnableClock(reg::kApb1Clock, reg::kTim2ClockBit);
  At(reg::kTim2Cr1) = 1;
  tick_source = TickSource::kTimer;
  tick_register = &At(reg::kTim2Cnt);
}

__attribute__((noinline)) uint32_t TicksToRaise(uint32_t irq) {
  const uint32_t before = *tick_register;
  reg::RaiseInterrupt(irq);
  return *tick_register - before;
}

// Entry, exit and the instructions around the handler's own two readings.
void CalibrateInterrupt() {
  TicksToRaise(kUnusedIrq);  // pending, never enabled; warms the caches of a real chip
  TicksToRaise(kReceiveIrq);
  const uint32_t idle = TicksToRaise(kUnusedIrq);
  const uint32_t seen_before = interrupt_ticks;
  const uint32_t served = TicksToRaise(kReceiveIrq);
  const uint32_t seen = interrupt_ticks - seen_before;
  reg::ForgetInterrupt(kUnusedIrq);
  // A byte that comes in between would spoil it; the handler's hidden part is some dozen ticks.
  const uint32_t hidden = served - idle - seen;
  interrupt_overhead = hidden < 200 ? hidden : 0;
}

}  // namespace

void Init() {
  const Clocks clocks = StartClock();
  core_hz = clocks.core;
#ifdef TINYMIA_DCACHE
  reg::EnableCaches();
#endif
  StartTicks();
  StartUsart(clocks.usart());
  CalibrateInterrupt();
}

void Write(const uint8_t* src, uint32_t size) {
  for (uint32_t i = 0; i < size; ++i) {
    while ((At(reg::kUsartStatus) & reg::kUsartTxEmpty) == 0) {
    }
    At(reg::kUsartWrite) = src[i];
  }
}

uint32_t Ticks() {
  uint32_t mask;
  __asm volatile("mrs %0, primask\ncpsid i" : "=r"(mask)::"memory");
  const uint32_t ticks = *tick_register - interrupt_ticks;
  __asm volatile("msr primask, %0" ::"r"(mask) : "memory");
  return ticks;
}

TickSource GetTickSource() { return tick_source; }

uint32_t TicksPerSecond() {
  // Without DWT this is a simulator, whose timer is set to an instruction a nanosecond.
  return tick_source == TickSource::kCycles ? core_hz : 1000000000;
}

uint32_t CoreClockHz() { return core_hz; }

const char* BoardName() { return TINYMIA_BOARD; }

}  // namespace tinymia::hal

void ReceiveHandler() {
  using namespace tinymia;
  using namespace tinymia::hal;
  // Outside the two readings there is no branch: what they miss is the same every time.
  const uint32_t before = *tick_register;
  const uint32_t status = At(reg::kUsartStatus);
  if ((status & (reg::kUsartRxNotEmpty | reg::kUsartOverrun)) != 0) {
    const uint8_t byte = static_cast<uint8_t>(At(reg::kUsartRead));  // clears the F4's overrun, too
#ifndef TINYMIA_STM32F4
    if ((status & reg::kUsartOverrun) != 0) At(reg::kUsartClear) = reg::kUsartOverrun;
#endif
    // After an overrun alone the register still holds the byte before (RM0090 30.6.1, ORE).
    Receive((status & reg::kUsartRxNotEmpty) != 0, byte);
    CountLost((status & reg::kUsartOverrun) != 0);
  }
  interrupt_ticks = interrupt_ticks + (*tick_register - before) + interrupt_overhead;
}
