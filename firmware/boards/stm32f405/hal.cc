// Board layer of the STM32F405 and F407. The same image runs on the chip, in QEMU (netduinoplus2:
// no RCC, no DWT) and in Renode, so everything that may be missing is found out at run time.

#include "hal.h"

#include <stdint.h>

#include "receive.h"
#include "registers.h"
#include "startup.h"
#include "vectors.h"

namespace tinymia::hal {
namespace {

using reg::At;

constexpr uint32_t kBaud = 115200;
constexpr uint32_t kHsiHz = 16000000;
constexpr uint32_t kPllHz = 168000000;
// A real PLL locks within 300 us (datasheet); a simulator without one never does.
constexpr uint32_t kMaxPolls = 20000;

volatile uint32_t* tick_register;
TickSource tick_source;
volatile uint32_t interrupt_ticks;  // spent in the receive interrupt so far
uint32_t interrupt_overhead;        // part of it that the handler cannot see itself
uint32_t core_hz = kHsiHz;

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
  for (uint32_t i = 0; i < kMaxPolls; ++i) {
    if ((At(address) & mask) == value) return true;
  }
  return false;
}

// 168 MHz from the internal oscillator, so that no board's crystal must be known: 16 MHz / 8 * 168
// / 2 (7.3.2); APB1 42 MHz, APB2 84 MHz (7.3.3); 5 wait states at 2.7 to 3.6 V (table 10).
// Falls back to 16 MHz. Returns the clock of APB2, which feeds USART1.
uint32_t StartClock() {
  At(reg::kRccPllCfgr) = (7u << 24) | (168u << 6) | 8u;  // P = 2 is 0, source HSI is 0
  At(reg::kRccCr) = At(reg::kRccCr) | reg::kRccCrPllOn;
  if (!WaitFor(reg::kRccCr, reg::kRccCrPllReady, reg::kRccCrPllReady)) return kHsiHz;
  At(reg::kFlashAcr) =
      reg::kFlashAcrPrefetch | reg::kFlashAcrInstructionCache | reg::kFlashAcrDataCache | 5u;
  // Too few wait states at 168 MHz would fetch garbage: never switch without them.
  if (!WaitFor(reg::kFlashAcr, reg::kFlashAcrLatencyMask, 5u)) return kHsiHz;
  At(reg::kRccCfgr) = reg::kRccCfgrApb1Div4 | reg::kRccCfgrApb2Div2;
  At(reg::kRccCfgr) = reg::kRccCfgrApb1Div4 | reg::kRccCfgrApb2Div2 | reg::kRccCfgrSwPll;
  if (!WaitFor(reg::kRccCfgr, reg::kRccCfgrSwsMask, reg::kRccCfgrSwsPll)) {
    At(reg::kRccCfgr) = 0;
    return kHsiHz;
  }
  core_hz = kPllHz;
  return kPllHz / 2;
}

void SelectUsartPin(uint32_t port, uint32_t pin) {
  const uint32_t two_bits = 2 * pin;
  volatile uint32_t& mode = At(port + reg::kGpioModer);
  volatile uint32_t& pull = At(port + reg::kGpioPupdr);
  volatile uint32_t& alternate = At(port + reg::kGpioAfrl + 4 * (pin / 8));
  const uint32_t nibble = 4 * (pin % 8);
  alternate = (alternate & ~(0xFu << nibble)) | (7u << nibble);  // AF7: USART1 to 3
  pull = (pull & ~(3u << two_bits)) | (1u << two_bits);          // idle line reads high
  mode = (mode & ~(3u << two_bits)) | (2u << two_bits);
}

void StartUsart(uint32_t bus_hz) {
#ifdef TINYMIA_USART1_ON_PB6_PB7
  EnableClock(reg::kRccAhb1Enr, 1u << 1);
  SelectUsartPin(reg::kGpioB, 6);
  SelectUsartPin(reg::kGpioB, 7);
#else
  EnableClock(reg::kRccAhb1Enr, 1u << 0);
  SelectUsartPin(reg::kGpioA, 9);
  SelectUsartPin(reg::kGpioA, 10);
#endif
  EnableClock(reg::kRccApb2Enr, reg::kRccApb2Usart1);
  // With 16-fold oversampling BRR is simply the clock divided by the rate (30.3.4).
  At(reg::kUsart1Brr) = (bus_hz + kBaud / 2) / kBaud;
  At(reg::kUsart1Cr1) =
      reg::kUsartCr1Enable | reg::kUsartCr1Rx | reg::kUsartCr1Tx | reg::kUsartCr1RxInterrupt;
  reg::EnableInterrupt(kReceiveIrq);
}

void StartTicks() {
  At(reg::kDemcr) = At(reg::kDemcr) | reg::kDemcrTrace;
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
  EnableClock(reg::kRccApb1Enr, reg::kRccApb1Tim2);
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
  const uint32_t bus_hz = StartClock();
  StartTicks();
  StartUsart(bus_hz);
  CalibrateInterrupt();
  // An empty frame: tells who waits on the line that the board listens now.
  const uint8_t hello = 0;
  Write(&hello, 1);
}

void Write(const uint8_t* src, uint32_t size) {
  for (uint32_t i = 0; i < size; ++i) {
    while ((At(reg::kUsart1Sr) & reg::kUsartSrTxEmpty) == 0) {
    }
    At(reg::kUsart1Dr) = src[i];
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

uint32_t CoreClockHz() { return core_hz; }

const char* BoardName() {
#ifdef TINYMIA_USART1_ON_PB6_PB7
  return "stm32f407disco";
#else
  return "stm32f405";
#endif
}

}  // namespace tinymia::hal

void ReceiveHandler() {
  using namespace tinymia;
  using namespace tinymia::hal;
  // Outside the two readings there is no branch: what they miss is the same every time.
  const uint32_t before = *tick_register;
  const uint32_t status = At(reg::kUsart1Sr);
  if ((status & (reg::kUsartSrRxNotEmpty | reg::kUsartSrOverrun)) != 0) {
    const uint8_t byte = static_cast<uint8_t>(At(reg::kUsart1Dr));  // clears the overrun, too
    // After an overrun alone the register still holds the byte before (30.6.1, ORE).
    Receive((status & reg::kUsartSrRxNotEmpty) != 0, byte);
    CountLost((status & reg::kUsartSrOverrun) != 0);
  }
  interrupt_ticks = interrupt_ticks + (*tick_register - before) + interrupt_overhead;
}
