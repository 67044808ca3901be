#ifndef TINYMIA_BOARDS_MPS_REGISTERS_H_
#define TINYMIA_BOARDS_MPS_REGISTERS_H_

#include <stdint.h>

#include "core.h"

// The Arm MPS2 and MPS3 boards' FPGA images as far as this layer touches them. Addresses: Arm
// application notes AN385, AN500, AN505 and AN547; where the core has a secure state the secure
// aliases, as it starts in it. UART: Cortex-M System Design Kit (DDI 0479) 4.3; FPGAIO: AN505 3.1.
namespace tinymia::reg {

#if defined(TINYMIA_MPS2_AN385) || defined(TINYMIA_MPS2_AN500)
constexpr uint32_t kUart0 = 0x40004000;
constexpr uint32_t kFpgaio = 0x40028000;
#elif defined(TINYMIA_MPS2_AN505)
constexpr uint32_t kUart0 = 0x50200000;
constexpr uint32_t kFpgaio = 0x50302000;
#elif defined(TINYMIA_MPS3_AN547)
constexpr uint32_t kUart0 = 0x59303000;
constexpr uint32_t kFpgaio = 0x59302000;
#endif

constexpr uint32_t kUartData = kUart0 + 0x00;
constexpr uint32_t kUartState = kUart0 + 0x04;
constexpr uint32_t kUartCtrl = kUart0 + 0x08;
constexpr uint32_t kUartIntClear = kUart0 + 0x0C;
constexpr uint32_t kUartBaudDiv = kUart0 + 0x10;
constexpr uint32_t kUartStateTxFull = 1u << 0;
constexpr uint32_t kUartStateRxFull = 1u << 1;
constexpr uint32_t kUartStateRxOverrun = 1u << 3;
constexpr uint32_t kUartCtrlTx = 1u << 0;
constexpr uint32_t kUartCtrlRx = 1u << 1;
constexpr uint32_t kUartCtrlRxInterrupt = 1u << 3;
constexpr uint32_t kUartIntRx = 1u << 1;

constexpr uint32_t kFpgaioCounter = kFpgaio + 0x18;
constexpr uint32_t kFpgaioPrescale = kFpgaio + 0x1C;

}  // namespace tinymia::reg

#endif  // TINYMIA_BOARDS_MPS_REGISTERS_H_
