#ifndef TINYMIA_BOARDS_STM32F405_REGISTERS_H_
#define TINYMIA_BOARDS_STM32F405_REGISTERS_H_

#include <stdint.h>

#include "core.h"

// The few registers that the board layer touches: reference manual RM0090 (F405/F407), chapters
// 2 (memory map), 3 (flash), 7 (RCC), 8 (GPIO), 18 (TIM2), 24 (RNG), 30 (USART).
namespace tinymia::reg {

// RCC (7.3)
constexpr uint32_t kRccCr = 0x40023800;
constexpr uint32_t kRccPllCfgr = 0x40023804;
constexpr uint32_t kRccCfgr = 0x40023808;
constexpr uint32_t kRccAhb1Enr = 0x40023830;
constexpr uint32_t kRccAhb2Enr = 0x40023834;
constexpr uint32_t kRccApb1Enr = 0x40023840;
constexpr uint32_t kRccApb2Enr = 0x40023844;
constexpr uint32_t kRccCrPllOn = 1u << 24;
constexpr uint32_t kRccCrPllReady = 1u << 25;
constexpr uint32_t kRccCfgrSwPll = 2u;
constexpr uint32_t kRccCfgrSwsMask = 3u << 2;
constexpr uint32_t kRccCfgrSwsPll = 2u << 2;
constexpr uint32_t kRccCfgrApb1Div4 = 5u << 10;
constexpr uint32_t kRccCfgrApb2Div2 = 4u << 13;
constexpr uint32_t kRccAhb2Rng = 1u << 6;
constexpr uint32_t kRccApb1Tim2 = 1u << 0;
constexpr uint32_t kRccApb2Usart1 = 1u << 4;

// Flash interface (3.9.1)
constexpr uint32_t kFlashAcr = 0x40023C00;
constexpr uint32_t kFlashAcrLatencyMask = 7u;
constexpr uint32_t kFlashAcrPrefetch = 1u << 8;
constexpr uint32_t kFlashAcrInstructionCache = 1u << 9;
constexpr uint32_t kFlashAcrDataCache = 1u << 10;

// GPIO (8.4): offsets from a port's base
constexpr uint32_t kGpioA = 0x40020000;
constexpr uint32_t kGpioB = 0x40020400;
constexpr uint32_t kGpioModer = 0x00;
constexpr uint32_t kGpioPupdr = 0x0C;
constexpr uint32_t kGpioAfrl = 0x20;  // pins 0 to 7; AFRH follows

// Random number generator (24.4)
constexpr uint32_t kRngCr = 0x50060800;
constexpr uint32_t kRngSr = 0x50060804;
constexpr uint32_t kRngDr = 0x50060808;
constexpr uint32_t kRngCrEnable = 1u << 2;
constexpr uint32_t kRngSrReady = 1u << 0;
constexpr uint32_t kRngSrClockError = 1u << 1;
constexpr uint32_t kRngSrSeedError = 1u << 2;
constexpr uint32_t kRngSrErrorFlags = 3u << 5;  // latched; cleared by writing zero

// USART1 (30.6)
constexpr uint32_t kUsart1Sr = 0x40011000;
constexpr uint32_t kUsart1Dr = 0x40011004;
constexpr uint32_t kUsart1Brr = 0x40011008;
constexpr uint32_t kUsart1Cr1 = 0x4001100C;
constexpr uint32_t kUsartSrOverrun = 1u << 3;
constexpr uint32_t kUsartSrRxNotEmpty = 1u << 5;
constexpr uint32_t kUsartSrTxEmpty = 1u << 7;
constexpr uint32_t kUsartCr1Rx = 1u << 2;
constexpr uint32_t kUsartCr1Tx = 1u << 3;
constexpr uint32_t kUsartCr1RxInterrupt = 1u << 5;
constexpr uint32_t kUsartCr1Enable = 1u << 13;

// TIM2 (18.4): the only 32-bit timers are TIM2 and TIM5
constexpr uint32_t kTim2Cr1 = 0x40000000;
constexpr uint32_t kTim2Cnt = 0x40000024;

}  // namespace tinymia::reg

#endif  // TINYMIA_BOARDS_STM32F405_REGISTERS_H_
