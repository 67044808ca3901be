// Supply and clocks of the H7 (RM0433 6.4.1, 8.7): 200 MHz, the most at the reset's voltage. More
// needs another one.

#ifdef TINYMIA_STM32H7

#include "clock.h"
#include "registers.h"
#include "startup.h"

namespace tinymia {
namespace {

using reg::At;

constexpr uint32_t kCr = reg::kRcc + 0x00;
constexpr uint32_t kCfgr = reg::kRcc + 0x10;
constexpr uint32_t kD1Cfgr = reg::kRcc + 0x18;
constexpr uint32_t kD2Cfgr = reg::kRcc + 0x1C;
constexpr uint32_t kD3Cfgr = reg::kRcc + 0x20;
constexpr uint32_t kPllCkSelr = reg::kRcc + 0x28;
constexpr uint32_t kPllCfgr = reg::kRcc + 0x2C;
constexpr uint32_t kPll1Divr = reg::kRcc + 0x30;
constexpr uint32_t kFlashAcr = 0x52002000;
constexpr uint32_t kPwrCsr1 = 0x58024804;
constexpr uint32_t kPwrCr3 = 0x5802480C;
constexpr uint32_t kCsr1VoltageReady = 1u << 13;  // ACTVOSRDY
constexpr uint32_t kCr3Ldo = 1u << 1;
constexpr uint32_t kCrHsi48On = 1u << 12;
constexpr uint32_t kCrPll1On = 1u << 24;
constexpr uint32_t kCrPll1Ready = 1u << 25;
constexpr uint32_t kSwPll1 = 3u;
constexpr uint32_t kSwsMask = 7u << 3;
constexpr uint32_t kSwsPll1 = 3u << 3;
constexpr uint32_t kHsiHz = 64000000;
constexpr uint32_t kHz = 200000000;

}  // namespace

Clocks StartClock() {
  constexpr Clocks kReset = {kHsiHz, kHsiHz, kHsiHz};
  if (!WaitFor(kPwrCsr1, kCsr1VoltageReady, kCsr1VoltageReady)) return kReset;
  // 64 MHz / 4 * 25 / 2; the input lies in 8 to 16 MHz, the VCO (400 MHz) in its wide range.
  At(kPllCkSelr) = (At(kPllCkSelr) & ~(63u << 4 | 3u)) | 4u << 4;
  At(kPllCfgr) = (At(kPllCfgr) & ~(1u << 0 | 1u << 1 | 3u << 2)) | 3u << 2 | 1u << 16;
  At(kPll1Divr) = 24u | 1u << 9 | 1u << 16 | 1u << 24;
  // The generator of random numbers runs from the oscillator of 48 MHz.
  At(kCr) = At(kCr) | kCrPll1On | kCrHsi48On;
  if (!WaitFor(kCr, kCrPll1Ready, kCrPll1Ready)) return kReset;
  // AXI at 100 MHz, at the reset's voltage VOS3: 2 wait states, delay 1 (table 17); 3 are safe.
  constexpr uint32_t kWaitStates = 3u | 1u << 4;
  At(kFlashAcr) = kWaitStates;
  if (!WaitFor(kFlashAcr, 0x3Fu, kWaitStates)) return kReset;
  At(kD1Cfgr) = 8u | 4u << 4;       // AXI: core / 2, APB3: AXI / 2
  At(kD2Cfgr) = 4u << 4 | 4u << 8;  // APB1 and APB2: AXI / 2
  At(kD3Cfgr) = 4u << 4;            // APB4: AXI / 2
  At(kCfgr) = (At(kCfgr) & ~7u) | kSwPll1;
  if (!WaitFor(kCfgr, kSwsMask, kSwsPll1)) {
    At(kCfgr) = At(kCfgr) & ~7u;
    At(kD1Cfgr) = 0;
    At(kD2Cfgr) = 0;
    At(kD3Cfgr) = 0;
    return kReset;
  }
  return {kHz, kHz / 4, kHz / 4};
}

}  // namespace tinymia

// Out of power-on the chip is in Run*, where RAM must not be written and the voltage not be
// changed, until the way of supplying the core is chosen, once; LDOEN alone is what reset has, too.
// Makes no call and needs no stack, for that lies in RAM; ResetHandler() is jumped to.
void SupplyHandler() {
  using namespace tinymia;
  constexpr uint32_t kMaxPolls = 100000;  // some 10 ms; StartClock() looks whether it came
  At(kPwrCr3) = kCr3Ldo;
  for (uint32_t i = 0; i < kMaxPolls && (At(kPwrCsr1) & kCsr1VoltageReady) == 0; ++i) {
  }
  ResetHandler();
}

#endif
