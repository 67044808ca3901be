#ifndef TINYMIA_BOARDS_NRF52840_REGISTERS_H_
#define TINYMIA_BOARDS_NRF52840_REGISTERS_H_

#include <stdint.h>

#include "core.h"

// The few registers that the board layer touches. Manual: nRF52840 Product Specification (PS) v1.7;
// the chapters are named. Writing 1 to a task starts it; an event reads 1 until 0 is written to it.
namespace tinymia::reg {

// CLOCK
constexpr uint32_t kClockStartHfxo = 0x40000000;
constexpr uint32_t kClockHfxoStarted = 0x40000100;

// UARTE0: UART with EasyDMA
constexpr uint32_t kUarteStartRx = 0x40002000;
constexpr uint32_t kUarteStartTx = 0x40002008;
constexpr uint32_t kUarteEndRx = 0x40002110;
constexpr uint32_t kUarteEndTx = 0x40002120;
constexpr uint32_t kUarteError = 0x40002124;
constexpr uint32_t kUarteIntenSet = 0x40002304;
constexpr uint32_t kUarteIntEndRx = 1u << 4;
constexpr uint32_t kUarteErrorSource = 0x40002480;  // writing 1 clears a bit
constexpr uint32_t kUarteErrorOverrun = 1u << 0;
constexpr uint32_t kUarteEnable = 0x40002500;
constexpr uint32_t kUarteEnableOn = 8;
constexpr uint32_t kUarteSelectTx = 0x4000250C;
constexpr uint32_t kUarteSelectRx = 0x40002514;
constexpr uint32_t kUarteBaudRate = 0x40002524;
constexpr uint32_t kUarteRxPointer = 0x40002534;
constexpr uint32_t kUarteRxCount = 0x40002538;
constexpr uint32_t kUarteTxPointer = 0x40002544;
constexpr uint32_t kUarteTxCount = 0x40002548;

// TIMER0
constexpr uint32_t kTimerStart = 0x40008000;
constexpr uint32_t kTimerCapture = 0x40008040;  // task N copies the counter to register N
constexpr uint32_t kTimerBitMode = 0x40008508;
constexpr uint32_t kTimerBitMode32 = 3;
constexpr uint32_t kTimerPrescaler = 0x40008510;
constexpr uint32_t kTimerCc = 0x40008540;

// RNG
constexpr uint32_t kRngStart = 0x4000D000;
constexpr uint32_t kRngStop = 0x4000D004;
constexpr uint32_t kRngReady = 0x4000D100;
constexpr uint32_t kRngConfig = 0x4000D504;
constexpr uint32_t kRngConfigUnbiased = 1u << 0;
constexpr uint32_t kRngValue = 0x4000D508;

// NVMC
constexpr uint32_t kNvmcCache = 0x4001E540;
constexpr uint32_t kNvmcCacheOn = 1u << 0;

// GPIO: a port's registers
constexpr uint32_t kGpio = 0x50000000;
constexpr uint32_t kGpioStride = 0x300;
constexpr uint32_t kGpioOutSet = 0x508;
constexpr uint32_t kGpioPinCnf = 0x700;
constexpr uint32_t kGpioOutput = 1u << 0 | 1u << 1;  // input buffer off
constexpr uint32_t kGpioInputPullUp = 3u << 2;

// Debug access ("Access port protection")
constexpr uint32_t kFicrPart = 0x10000130;     // here and
constexpr uint32_t kFicrVariant = 0x10000134;  // here the chip says what it is, for Nordic's MDK
constexpr uint32_t kUicrProtect = 0x10001208;
constexpr uint32_t kApProtectDisable = 0x40000558;

}  // namespace tinymia::reg

#endif  // TINYMIA_BOARDS_NRF52840_REGISTERS_H_
