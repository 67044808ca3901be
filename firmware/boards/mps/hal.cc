// Board layer of the Arm MPS2 and MPS3 boards, which put a core into an FPGA: AN385 (Cortex-M3, no
// FPU), AN500 (M7), AN505 (M33), AN547 (M55). Meant for QEMU, to run the firmware on other cores.

#include "hal.h"

#include <stdint.h>

#include "receive.h"
#include "registers.h"
#include "startup.h"
#include "vectors.h"

namespace tinymia::hal {
namespace {

using reg::At;

#if defined(TINYMIA_MPS2_AN385)
constexpr uint32_t kCoreHz = 25000000;
constexpr uint32_t kUartHz = 25000000;
constexpr int kCounterNs = 40;
#elif defined(TINYMIA_MPS2_AN500)
constexpr uint32_t kCoreHz = 25000000;
constexpr uint32_t kUartHz = 25000000;
constexpr int kCounterNs = 40;
#elif defined(TINYMIA_MPS2_AN505)
constexpr uint32_t kCoreHz = 20000000;
constexpr uint32_t kUartHz = 20000000;
constexpr int kCounterNs = 50;
#elif defined(TINYMIA_MPS3_AN547)
constexpr uint32_t kCoreHz = 32000000;
constexpr uint32_t kUartHz = 25000000;
constexpr int kCounterNs = 50;  // QEMU's; the board's counter has 25 MHz
#endif

constexpr uint32_t kStride = 3;  // instructions from one reading to the next
static_assert(kCounterNs % kStride != 0, "readings must fall on every phase of the counter");

// Instructions that were no part of the program's work: own readings, the receive interrupt.
volatile uint32_t hidden;
uint32_t interrupt_cost;

// Under `-icount shift=0` an instruction takes one nanosecond, but the counter steps only every
// n = kCounterNs of them. The sum of n readings that lie s instructions apart still gives the exact
// time t of the first, when n and s have no common factor: the times t + k * s leave every
// remainder modulo n once, so
//   sum over k < n of floor((t + k * s) / n) = t + (s - 1) * (n - 1) / 2.
// Arithmetic modulo 2^32 leaves that true when the counter wraps.
inline uint32_t Count() {
  uint32_t sum = 0;
  uint32_t reading;
  __asm volatile(
      ".rept %c[n]\n"
      "ldr %[reading], [%[counter]]\n"
      "add %[sum], %[sum], %[reading]\n"
      "nop\n"
      ".endr"
      : [sum] "+r"(sum), [reading] "=&r"(reading)
      : [counter] "r"(reg::kFpgaioCounter), [n] "i"(kCounterNs)
      : "memory");
  return sum;
}
constexpr uint32_t kCountCost = kStride * kCounterNs;

// Below the RAM the M3's and the M7's bus takes any access: the first 4 KB become a region that
// nobody may touch (PMSAv7), so that a stack that grows too far faults. The others' bus refuses.
void GuardStack() {
#if defined(TINYMIA_MPS2_AN385) || defined(TINYMIA_MPS2_AN500)
  constexpr uint32_t kRegion0 = 1u << 4;
  constexpr uint32_t kSize4K = 11u << 1;
  constexpr uint32_t kEnable = 1u;
  constexpr uint32_t kDefaultMap = 1u << 2;
  const uint32_t guard = reinterpret_cast<uint32_t>(tinymia_stack_bottom) - 4096;
  At(reg::kMpuRbar) = guard | kRegion0;
  At(reg::kMpuRasr) = kSize4K | kEnable;
  At(reg::kMpuCtrl) = kDefaultMap | kEnable;
  __asm volatile("dsb\nisb" ::: "memory");
#endif
}

__attribute__((noinline)) uint32_t TicksToRaise(uint32_t irq) {
  const uint32_t before = Ticks();
  reg::RaiseInterrupt(irq);
  return Ticks() - before;
}

// The handler has no branch: it always takes what it takes now, before the UART is on.
void CalibrateInterrupt() {
  reg::EnableInterrupt(kReceiveIrq);
  const uint32_t idle = TicksToRaise(kUnusedIrq);
  interrupt_cost = TicksToRaise(kReceiveIrq) - idle;
  reg::ForgetInterrupt(kUnusedIrq);
}

}  // namespace

void Init() {
#ifdef TINYMIA_TRAP_UNALIGNED
  At(reg::kScbCcr) = At(reg::kScbCcr) | reg::kCcrTrapUnaligned;
#endif
  GuardStack();
  At(reg::kFpgaioPrescale) = 0;
  CalibrateInterrupt();
  At(reg::kUartBaudDiv) = (kUartHz + TINYMIA_BAUD / 2) / TINYMIA_BAUD;
  At(reg::kUartCtrl) = reg::kUartCtrlTx | reg::kUartCtrlRx | reg::kUartCtrlRxInterrupt;
}

void Write(const uint8_t* src, uint32_t size) {
  for (uint32_t i = 0; i < size; ++i) {
    while ((At(reg::kUartState) & reg::kUartStateTxFull) != 0) {
    }
    At(reg::kUartData) = src[i];
  }
}

uint32_t Ticks() {
  uint32_t mask;
  __asm volatile("mrs %0, primask\ncpsid i" : "=r"(mask)::"memory");
  const uint32_t ticks = Count() - hidden;
  hidden = hidden + kCountCost;
  __asm volatile("msr primask, %0" ::"r"(mask) : "memory");
  return ticks;
}

TickSource GetTickSource() { return TickSource::kTimer; }

// An instruction takes a nanosecond under -icount shift=0.
uint32_t TicksPerSecond() { return 1000000000; }

uint32_t CoreClockHz() { return kCoreHz; }

// These boards have no generator of true random numbers.
bool Entropy(uint32_t*, uint32_t) { return false; }

const char* BoardName() { return TINYMIA_BOARD; }

}  // namespace tinymia::hal

void ReceiveHandler() {
  using namespace tinymia;
  using reg::At;
  // Cleared first: once the byte is taken, the next one may raise it again.
  At(reg::kUartIntClear) = reg::kUartIntRx;
  const uint32_t state = At(reg::kUartState);
  const uint8_t byte = static_cast<uint8_t>(At(reg::kUartData));
  At(reg::kUartState) = reg::kUartStateRxOverrun;  // writing 1 clears it
  Receive((state & reg::kUartStateRxFull) / reg::kUartStateRxFull, byte);
  CountLost((state & reg::kUartStateRxOverrun) / reg::kUartStateRxOverrun);
  hal::hidden = hal::hidden + hal::interrupt_cost;
}
