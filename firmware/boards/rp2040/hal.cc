// Board layer of the RP2040: one Cortex-M0+, without an FPU; the other one sleeps in the boot ROM.

#include "hal.h"

#include <stdint.h>

#include "receive.h"
#include "registers.h"
#include "startup.h"
#include "vectors.h"

namespace tinymia::hal {
namespace {

using reg::At;

constexpr uint32_t kCoreHz = 125000000;
constexpr uint32_t kGuardBytes = 256;

volatile uint32_t tick_wraps;       // of SysTick's 24 bits
volatile uint32_t interrupt_ticks;  // spent in the receive interrupt so far
uint32_t interrupt_overhead;        // part of it that the handler cannot see itself

void WaitFor(uint32_t address, uint32_t bits) {
  while ((At(address) & bits) != bits) {
  }
}

// After a restart by software the blocks may still be in use.
void Restart(uint32_t blocks) {
  At(reg::kResets) = At(reg::kResets) | blocks;
  At(reg::kResets) = At(reg::kResets) & ~blocks;
  WaitFor(reg::kResetsDone, blocks);
}

// The stack may not grow below this: the lowest region that nobody may touch (PMSAv6).
void GuardStack() {
  constexpr uint32_t kRegion0 = 1u << 4;
  constexpr uint32_t kSize256 = 7u << 1;
  constexpr uint32_t kEnable = 1u;
  constexpr uint32_t kDefaultMap = 1u << 2;
  At(reg::kMpuRbar) = (reinterpret_cast<uint32_t>(tinymia_stack_bottom) - kGuardBytes) | kRegion0;
  At(reg::kMpuRasr) = kSize256 | kEnable;
  At(reg::kMpuCtrl) = kDefaultMap | kEnable;
  __asm volatile("dsb\nisb" ::: "memory");
}

// 12 MHz crystal * 125 / 6 / 2 (2.18). Nothing else has its accuracy, so without it nothing starts.
void StartClock() {
  At(reg::kXoscStartup) = 47;  // * 256 periods: 1 ms (2.16.3)
  At(reg::kXoscCtrl) = reg::kXoscEnable;
  WaitFor(reg::kXoscStatus, reg::kXoscStable);
  // The system clock leaves the PLL before the PLL is touched.
  At(reg::kClkSysCtrl) = At(reg::kClkSysCtrl) & ~reg::kClkSysAux;
  WaitFor(reg::kClkSysSelected, 1u << 0);
  At(reg::kClkRefCtrl) = reg::kClkRefXosc;
  WaitFor(reg::kClkRefSelected, 1u << reg::kClkRefXosc);
  Restart(reg::kResetPllSys);
  At(reg::kPllCs) = 1;
  At(reg::kPllFeedback) = 125;
  At(reg::kPllPower) = reg::kPllPowerPostDivDown | reg::kPllPowerDsmDown;
  WaitFor(reg::kPllCs, reg::kPllLock);
  At(reg::kPllPrim) = 6u << 16 | 2u << 12;
  At(reg::kPllPower) = reg::kPllPowerDsmDown;
  At(reg::kClkSysCtrl) = 0;
  At(reg::kClkSysCtrl) = reg::kClkSysAux;
  WaitFor(reg::kClkSysSelected, 1u << reg::kClkSysAux);
  At(reg::kClkPeriCtrl) = reg::kClkPeriEnable;
}

void SelectUartPin(uint32_t pin) {
  At(reg::kPad + pin * reg::kPadStride) =
      reg::kPadInput | reg::kPadDrive4mA | reg::kPadPullUp | reg::kPadSchmitt;
  At(reg::kIoCtrl + pin * reg::kIoStride) = reg::kIoUart;
}

void StartUart() {
  Restart(reg::kResetIoBank | reg::kResetPads | reg::kResetUart);
  constexpr uint32_t kDivisor = (4 * kCoreHz + TINYMIA_BAUD / 2) / TINYMIA_BAUD;  // 64ths (4.2.7.1)
  At(reg::kUartBaudWhole) = kDivisor / 64;
  At(reg::kUartBaudPart) = kDivisor % 64;
  At(reg::kUartLine) = reg::kUartLine8n1Fifo;
  At(reg::kUartFifoLevel) = 0;  // an interrupt at 4 bytes, or when the line falls silent
  At(reg::kUartIntMask) = reg::kUartIntRx | reg::kUartIntRxTimeout;
  At(reg::kUartCtrl) = reg::kUartCtrlOn;
  SelectUartPin(TINYMIA_TX_PIN);
  SelectUartPin(TINYMIA_RX_PIN);
  reg::EnableInterrupt(kReceiveIrq);
}

void StartTicks() {
  At(reg::kSysTickReload) = 0xFFFFFF;
  At(reg::kSysTickValue) = 0;
  At(reg::kSysTickCtrl) = reg::kSysTickOn;
}

// Cycles modulo 2^32; with interrupts off, or in one. SysTick counts down, and a turn that has
// begun but is not yet counted is pending. Its interrupt, dozens of cycles in 16.8 million, is not
// left out.
uint32_t Now() {
  uint32_t left = At(reg::kSysTickValue);
  uint32_t wraps = tick_wraps;
  if ((At(reg::kIcsr) & reg::kIcsrSysTickPending) != 0) {
    left = At(reg::kSysTickValue);
    ++wraps;
  }
  return (wraps << 24) + ((0u - left) & 0xFFFFFF);
}

__attribute__((noinline)) uint32_t TicksToRaise(uint32_t irq) {
  const uint32_t before = Now();
  reg::RaiseInterrupt(irq);
  return Now() - before;
}

// Entry, exit and the instructions around the handler's own two readings.
void CalibrateInterrupt() {
  TicksToRaise(kUnusedIrq);  // pending, never enabled; warms the cache of the flash
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
  GuardStack();
  StartClock();
  StartTicks();
  StartUart();
  CalibrateInterrupt();
}

void Write(const uint8_t* src, uint32_t size) {
  for (uint32_t i = 0; i < size; ++i) {
    while ((At(reg::kUartFlags) & reg::kUartFlagTxFull) != 0) {
    }
    At(reg::kUartData) = src[i];
  }
}

uint32_t Ticks() {
  uint32_t mask;
  __asm volatile("mrs %0, primask\ncpsid i" : "=r"(mask)::"memory");
  const uint32_t ticks = Now() - interrupt_ticks;
  __asm volatile("msr primask, %0" ::"r"(mask) : "memory");
  return ticks;
}

TickSource GetTickSource() { return TickSource::kCycles; }

uint32_t TicksPerSecond() { return kCoreHz; }

uint32_t CoreClockHz() { return kCoreHz; }

const char* BoardName() { return TINYMIA_BOARD; }

}  // namespace tinymia::hal

void SysTickHandler() { tinymia::hal::tick_wraps = tinymia::hal::tick_wraps + 1; }

void ReceiveHandler() {
  using namespace tinymia;
  using namespace tinymia::hal;
  const uint32_t before = Now();
  // Cleared first: a byte that comes after the last look may raise it again.
  At(reg::kUartIntClear) = reg::kUartIntRx | reg::kUartIntRxTimeout;
  while ((At(reg::kUartFlags) & reg::kUartFlagRxEmpty) == 0) {
    const uint32_t data = At(reg::kUartData);
    Receive(1, static_cast<uint8_t>(data));
    CountLost((data & reg::kUartDataOverrun) / reg::kUartDataOverrun);
  }
  interrupt_ticks = interrupt_ticks + (Now() - before) + interrupt_overhead;
}
