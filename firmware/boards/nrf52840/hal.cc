// Board layer of the nRF52840. The image runs on the chip and in Renode, which has no DWT unless
// it is told to, no cache and no overruns: what may be missing is found out at run time.

#include "hal.h"

#include <stdint.h>

#include "receive.h"
#include "registers.h"
#include "startup.h"
#include "vectors.h"

namespace tinymia::hal {
namespace {

using reg::At;

constexpr uint32_t kCoreHz = 64000000;

TickSource tick_source;
volatile uint32_t interrupt_ticks;  // spent in the receive interrupt so far
uint32_t interrupt_overhead;        // part of it that the handler cannot see itself

// DMA's buffers must lie in RAM (PS, EasyDMA), so what is sent from flash is copied.
volatile uint8_t rx_byte;
constexpr uint32_t kTxSize = 64;
uint8_t tx_bytes[kTxSize];

// Register BAUDRATE of the UARTE's rates (PS, UARTE); no formula gives them all. Each byte is a
// transfer that the interrupt must start, within the four bytes that the receiver keeps: 87 us at
// 460800 baud. Faster ones are left out: nobody has tried how long interrupts may wait, and 921600
// is really 941176. Two buffers and the shortcut that starts the next transfer would allow less:
// one byte's time, after which a byte is overwritten and no error tells.
constexpr uint32_t BaudRate(uint32_t baud) {
  switch (baud) {
    case 9600:
      return 0x00275000;
    case 19200:
      return 0x004EA000;
    case 38400:
      return 0x009D0000;
    case 57600:
      return 0x00EB0000;
    case 115200:
      return 0x01D60000;
    case 230400:
      return 0x03B00000;
    case 460800:
      return 0x07400000;
    default:
      return 0;
  }
}
static_assert(BaudRate(TINYMIA_BAUD) != 0,
              "board_uart.baud of an nRF52840 must be 9600, 19200, 38400, 57600, 115200, 230400 or "
              "460800");

// A bootloader may have run before.
void ForgetInterrupts() {
  for (uint32_t i = 0; i < (kInterrupts + 31) / 32; ++i) {
    At(reg::kNvicIcer + 4 * i) = 0xFFFFFFFF;
    At(reg::kNvicIcpr + 4 * i) = 0xFFFFFFFF;
  }
  __asm volatile("cpsie i" ::: "memory");
}

// Chips of build code Fxx and later close the debug port at every reset until both the UICR and the
// program open it (PS, "Debug and trace"). Here the program says what the UICR does, as with the
// chips before.
void OpenDebugPort() {
  if (At(reg::kFicrPart) == 8 && At(reg::kFicrVariant) >= 5) {
    At(reg::kApProtectDisable) = At(reg::kUicrProtect);
  }
}

// The internal oscillator is off by up to 8 %, too much for a UART; the crystal runs within 1 ms
// (PS, CLOCK). Without one the line might still work.
void StartClock() {
  constexpr uint32_t kMaxPolls = 20000;
  At(reg::kClockHfxoStarted) = 0;
  At(reg::kClockStartHfxo) = 1;
  for (uint32_t i = 0; i < kMaxPolls && At(reg::kClockHfxoStarted) == 0; ++i) {
  }
}

void StartUart() {
  constexpr uint32_t kTx = reg::kGpio + TINYMIA_TX_PORT * reg::kGpioStride;
  constexpr uint32_t kRx = reg::kGpio + TINYMIA_RX_PORT * reg::kGpioStride;
  // Before the UARTE takes the pins over (PS, UARTE, "Pin configuration"); an idle line is high.
  At(kTx + reg::kGpioOutSet) = 1u << TINYMIA_TX_PIN;
  At(kTx + reg::kGpioPinCnf + 4 * TINYMIA_TX_PIN) = reg::kGpioOutput;
  At(kRx + reg::kGpioPinCnf + 4 * TINYMIA_RX_PIN) = reg::kGpioInputPullUp;
  At(reg::kUarteSelectTx) = TINYMIA_TX_PORT << 5 | TINYMIA_TX_PIN;
  At(reg::kUarteSelectRx) = TINYMIA_RX_PORT << 5 | TINYMIA_RX_PIN;
  At(reg::kUarteBaudRate) = BaudRate(TINYMIA_BAUD);
  At(reg::kUarteEnable) = reg::kUarteEnableOn;
  // One byte a transfer, so that each raises the interrupt. Until the next transfer is started the
  // receiver keeps up to four bytes.
  At(reg::kUarteRxPointer) = reinterpret_cast<uint32_t>(&rx_byte);
  At(reg::kUarteRxCount) = 1;
  At(reg::kUarteIntenSet) = reg::kUarteIntEndRx;
  reg::EnableInterrupt(kReceiveIrq);
  At(reg::kUarteStartRx) = 1;
}

// TIMER0 has 16 MHz. `slot`: the program and the interrupt must not use the same one.
uint32_t Now(uint32_t slot) {
  if (tick_source == TickSource::kCycles) return At(reg::kDwtCycCnt);
  At(reg::kTimerCapture + 4 * slot) = 1;
  return At(reg::kTimerCc + 4 * slot);
}

void StartTicks() {
  At(reg::kDemcr) = At(reg::kDemcr) | reg::kDemcrTrace;
  At(reg::kDwtCtrl) = At(reg::kDwtCtrl) | 1u;
  const uint32_t before = At(reg::kDwtCycCnt);
  for (int i = 0; i < 16; ++i) __asm volatile("nop");
  if (At(reg::kDwtCycCnt) != before) {
    tick_source = TickSource::kCycles;
    return;
  }
  tick_source = TickSource::kTimer;
  At(reg::kTimerBitMode) = reg::kTimerBitMode32;
  At(reg::kTimerPrescaler) = 0;
  At(reg::kTimerStart) = 1;
}

__attribute__((noinline)) uint32_t TicksToRaise(uint32_t irq) {
  const uint32_t before = Now(0);
  reg::RaiseInterrupt(irq);
  return Now(0) - before;
}

// Entry, exit and the instructions around the handler's own two readings.
void CalibrateInterrupt() {
  TicksToRaise(kUnusedIrq);  // pending, never enabled; warms the cache of a real chip
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
  OpenDebugPort();
  ForgetInterrupts();
  At(reg::kNvmcCache) = reg::kNvmcCacheOn;
  StartClock();
  StartTicks();
  StartUart();
  CalibrateInterrupt();
}

void Write(const uint8_t* src, uint32_t size) {
  for (uint32_t done = 0; done < size;) {
    const uint32_t piece = size - done < kTxSize ? size - done : kTxSize;
    for (uint32_t i = 0; i < piece; ++i) tx_bytes[i] = src[done + i];
    __asm volatile("dsb" ::: "memory");
    At(reg::kUarteEndTx) = 0;
    At(reg::kUarteTxPointer) = reinterpret_cast<uint32_t>(tx_bytes);
    At(reg::kUarteTxCount) = piece;
    At(reg::kUarteStartTx) = 1;
    while (At(reg::kUarteEndTx) == 0) {
    }
    done += piece;
  }
}

uint32_t Ticks() {
  uint32_t mask;
  __asm volatile("mrs %0, primask\ncpsid i" : "=r"(mask)::"memory");
  const uint32_t ticks = Now(0) - interrupt_ticks;
  __asm volatile("msr primask, %0" ::"r"(mask) : "memory");
  return ticks;
}

TickSource GetTickSource() { return tick_source; }

uint32_t TicksPerSecond() { return tick_source == TickSource::kCycles ? kCoreHz : 16000000; }

uint32_t CoreClockHz() { return kCoreHz; }

const char* BoardName() { return TINYMIA_BOARD; }

}  // namespace tinymia::hal

void ReceiveHandler() {
  using namespace tinymia;
  using namespace tinymia::hal;
  const uint32_t before = Now(1);
  if (At(reg::kUarteEndRx) != 0) {
    const uint8_t byte = rx_byte;
    At(reg::kUarteEndRx) = 0;
    // The event is gone only cycles later: read back, lest the interrupt comes again (PS,
    // "Peripheral interface").
    const uint32_t event = At(reg::kUarteEndRx);
    static_cast<void>(event);
    At(reg::kUarteStartRx) = 1;
    Receive(1, byte);
    if (At(reg::kUarteError) != 0) {
      At(reg::kUarteError) = 0;
      const uint32_t source = At(reg::kUarteErrorSource);
      At(reg::kUarteErrorSource) = source;
      CountLost(source & reg::kUarteErrorOverrun);
    }
  }
  interrupt_ticks = interrupt_ticks + (Now(1) - before) + interrupt_overhead;
}
