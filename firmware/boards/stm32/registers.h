#ifndef TINYMIA_BOARDS_STM32_REGISTERS_H_
#define TINYMIA_BOARDS_STM32_REGISTERS_H_

#include <stdint.h>

#include "core.h"

// The few registers that the board layer touches. Reference manuals: RM0090 (F405, F407), RM0383
// (F411), RM0390 (F446), RM0410 (F767), RM0433 (H743), RM0351 (L476). What clocks need is in
// clock_*.cc.
namespace tinymia::reg {

// Memory map, and the registers of the RCC that switch peripherals on.
#if defined(TINYMIA_STM32F4) || defined(TINYMIA_STM32F7)
constexpr uint32_t kRcc = 0x40023800;
constexpr uint32_t kGpio = 0x40020000;
constexpr uint32_t kRng = 0x50060800;
constexpr uint32_t kUsart1 = 0x40011000;
constexpr uint32_t kGpioClock = kRcc + 0x30;  // AHB1ENR
constexpr uint32_t kRngClock = kRcc + 0x34;   // AHB2ENR
constexpr uint32_t kRngClockBit = 1u << 6;
constexpr uint32_t kApb1Clock = kRcc + 0x40;
constexpr uint32_t kApb2Clock = kRcc + 0x44;
constexpr uint32_t kUsart1ClockBit = 1u << 4;
#elif defined(TINYMIA_STM32H7)
constexpr uint32_t kRcc = 0x58024400;
constexpr uint32_t kGpio = 0x58020000;
constexpr uint32_t kRng = 0x48021800;
constexpr uint32_t kUsart1 = 0x40011000;
constexpr uint32_t kGpioClock = kRcc + 0xE0;  // AHB4ENR
constexpr uint32_t kRngClock = kRcc + 0xDC;   // AHB2ENR
constexpr uint32_t kRngClockBit = 1u << 6;
constexpr uint32_t kApb1Clock = kRcc + 0xE8;  // APB1LENR
constexpr uint32_t kApb2Clock = kRcc + 0xF0;
constexpr uint32_t kUsart1ClockBit = 1u << 4;
#elif defined(TINYMIA_STM32L4)
constexpr uint32_t kRcc = 0x40021000;
constexpr uint32_t kGpio = 0x48000000;
constexpr uint32_t kRng = 0x50060800;
constexpr uint32_t kUsart1 = 0x40013800;
constexpr uint32_t kGpioClock = kRcc + 0x4C;  // AHB2ENR
constexpr uint32_t kRngClock = kRcc + 0x4C;
constexpr uint32_t kRngClockBit = 1u << 18;
constexpr uint32_t kApb1Clock = kRcc + 0x58;  // APB1ENR1
constexpr uint32_t kApb2Clock = kRcc + 0x60;
constexpr uint32_t kUsart1ClockBit = 1u << 14;
#endif
constexpr uint32_t kTim2ClockBit = 1u << 0;

// The USART that the board file names; the same registers of APB1 everywhere.
#if TINYMIA_UART == 1
constexpr uint32_t kUsart = kUsart1;
constexpr uint32_t kUsartClock = kApb2Clock;
constexpr uint32_t kUsartClockBit = kUsart1ClockBit;
constexpr uint32_t kUsartFunction = 7;
#elif TINYMIA_UART == 2
constexpr uint32_t kUsart = 0x40004400;
constexpr uint32_t kUsartClock = kApb1Clock;
constexpr uint32_t kUsartClockBit = 1u << 17;
constexpr uint32_t kUsartFunction = 7;
#elif TINYMIA_UART == 3
constexpr uint32_t kUsart = 0x40004800;
constexpr uint32_t kUsartClock = kApb1Clock;
constexpr uint32_t kUsartClockBit = 1u << 18;
constexpr uint32_t kUsartFunction = 7;
#elif TINYMIA_UART == 6 && !defined(TINYMIA_STM32L4)
constexpr uint32_t kUsart = 0x40011400;
constexpr uint32_t kUsartClock = kApb2Clock;
constexpr uint32_t kUsartClockBit = 1u << 5;
#ifdef TINYMIA_STM32H7
constexpr uint32_t kUsartFunction = 7;
#else
constexpr uint32_t kUsartFunction = 8;
#endif
#else
#error "board_uart.port must be usart1, usart2, usart3 or (not on the L4) usart6"
#endif

#ifdef TINYMIA_STM32F4
// USART (RM0090 30.6)
constexpr uint32_t kUsartStatus = kUsart + 0x00;
constexpr uint32_t kUsartRead = kUsart + 0x04;
constexpr uint32_t kUsartWrite = kUsart + 0x04;
constexpr uint32_t kUsartBrr = kUsart + 0x08;
constexpr uint32_t kUsartCr1 = kUsart + 0x0C;
constexpr uint32_t kUsartCr1Enable = 1u << 13;
#else
// USART of the later series (RM0410 34.8, RM0433 48.7, RM0351 40.8)
constexpr uint32_t kUsartCr1 = kUsart + 0x00;
constexpr uint32_t kUsartBrr = kUsart + 0x0C;
constexpr uint32_t kUsartStatus = kUsart + 0x1C;
constexpr uint32_t kUsartClear = kUsart + 0x20;
constexpr uint32_t kUsartRead = kUsart + 0x24;
constexpr uint32_t kUsartWrite = kUsart + 0x28;
constexpr uint32_t kUsartCr1Enable = 1u << 0;
#endif
constexpr uint32_t kUsartOverrun = 1u << 3;
constexpr uint32_t kUsartRxNotEmpty = 1u << 5;
constexpr uint32_t kUsartTxEmpty = 1u << 7;
constexpr uint32_t kUsartCr1Rx = 1u << 2;
constexpr uint32_t kUsartCr1Tx = 1u << 3;
constexpr uint32_t kUsartCr1RxInterrupt = 1u << 5;

// GPIO: a port's registers (RM0090 8.4; the same in all)
constexpr uint32_t kGpioStride = 0x400;
constexpr uint32_t kGpioModer = 0x00;
constexpr uint32_t kGpioPupdr = 0x0C;
constexpr uint32_t kGpioAfrl = 0x20;  // pins 0 to 7; AFRH follows

// Random number generator (RM0090 24.4)
constexpr uint32_t kRngCr = kRng + 0x00;
constexpr uint32_t kRngSr = kRng + 0x04;
constexpr uint32_t kRngDr = kRng + 0x08;
constexpr uint32_t kRngCrEnable = 1u << 2;
constexpr uint32_t kRngSrReady = 1u << 0;
constexpr uint32_t kRngSrClockError = 1u << 1;
constexpr uint32_t kRngSrSeedError = 1u << 2;
constexpr uint32_t kRngSrErrorFlags = 3u << 5;  // latched; cleared by writing zero

// TIM2 (RM0090 18.4): a timer of 32 bits in all
constexpr uint32_t kTim2Cr1 = 0x40000000;
constexpr uint32_t kTim2Cnt = 0x40000024;

}  // namespace tinymia::reg

#endif  // TINYMIA_BOARDS_STM32_REGISTERS_H_
