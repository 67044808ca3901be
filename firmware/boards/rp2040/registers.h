#ifndef TINYMIA_BOARDS_RP2040_REGISTERS_H_
#define TINYMIA_BOARDS_RP2040_REGISTERS_H_

#include <stdint.h>

#include "core.h"

// The few registers that the board layer touches, by section of the RP2040 datasheet.
namespace tinymia::reg {

// Resets (2.14.3)
constexpr uint32_t kResets = 0x4000C000;
constexpr uint32_t kResetsDone = 0x4000C008;
constexpr uint32_t kResetIoBank = 1u << 5;
constexpr uint32_t kResetPads = 1u << 8;
constexpr uint32_t kResetPllSys = 1u << 12;
constexpr uint32_t kResetUart = 1u << (22 + TINYMIA_UART);

// Crystal oscillator (2.16.7)
constexpr uint32_t kXoscCtrl = 0x40024000;
constexpr uint32_t kXoscEnable = 0xFABu << 12 | 0xAA0u;  // the second: 1 to 15 MHz
constexpr uint32_t kXoscStatus = 0x40024004;
constexpr uint32_t kXoscStable = 1u << 31;
constexpr uint32_t kXoscStartup = 0x4002400C;

// System PLL (2.18.4)
constexpr uint32_t kPllCs = 0x40028000;
constexpr uint32_t kPllLock = 1u << 31;
constexpr uint32_t kPllPower = 0x40028004;
constexpr uint32_t kPllPowerDsmDown = 1u << 2;  // as it is out of reset; not needed
constexpr uint32_t kPllPowerPostDivDown = 1u << 3;
constexpr uint32_t kPllFeedback = 0x40028008;
constexpr uint32_t kPllPrim = 0x4002800C;

// Clocks (2.15.7); SELECTED has the bit of the source that is really in use
constexpr uint32_t kClkRefCtrl = 0x40008030;
constexpr uint32_t kClkRefXosc = 2;
constexpr uint32_t kClkRefSelected = 0x40008038;
constexpr uint32_t kClkSysCtrl = 0x4000803C;
constexpr uint32_t kClkSysAux = 1;  // its auxiliary source 0 is the system PLL
constexpr uint32_t kClkSysSelected = 0x40008044;
constexpr uint32_t kClkPeriCtrl = 0x40008048;
constexpr uint32_t kClkPeriEnable = 1u << 11;  // source 0 is the system clock

// Pins (2.19.6.1, 2.19.6.3)
constexpr uint32_t kIoCtrl = 0x40014004;  // of pin 0
constexpr uint32_t kIoStride = 8;
constexpr uint32_t kIoUart = 2;
constexpr uint32_t kPad = 0x4001C004;  // of pin 0
constexpr uint32_t kPadStride = 4;
constexpr uint32_t kPadInput = 1u << 6;
constexpr uint32_t kPadDrive4mA = 1u << 4;
constexpr uint32_t kPadPullUp = 1u << 3;
constexpr uint32_t kPadSchmitt = 1u << 1;

// UART (4.2.8), Arm's PL011
constexpr uint32_t kUart = 0x40034000 + 0x4000 * TINYMIA_UART;
constexpr uint32_t kUartData = kUart + 0x00;
constexpr uint32_t kUartDataOverrun = 1u << 11;
constexpr uint32_t kUartFlags = kUart + 0x18;
constexpr uint32_t kUartFlagRxEmpty = 1u << 4;
constexpr uint32_t kUartFlagTxFull = 1u << 5;
constexpr uint32_t kUartBaudWhole = kUart + 0x24;
constexpr uint32_t kUartBaudPart = kUart + 0x28;
constexpr uint32_t kUartLine = kUart + 0x2C;
constexpr uint32_t kUartLine8n1Fifo = 3u << 5 | 1u << 4;
constexpr uint32_t kUartCtrl = kUart + 0x30;
constexpr uint32_t kUartCtrlOn = 1u << 9 | 1u << 8 | 1u << 0;  // receiver, transmitter, UART
constexpr uint32_t kUartFifoLevel = kUart + 0x34;
constexpr uint32_t kUartIntMask = kUart + 0x38;
constexpr uint32_t kUartIntClear = kUart + 0x44;
constexpr uint32_t kUartIntRx = 1u << 4;
constexpr uint32_t kUartIntRxTimeout = 1u << 6;

}  // namespace tinymia::reg

#endif  // TINYMIA_BOARDS_RP2040_REGISTERS_H_
