// Clocks of the F4 and F7, whose RCC and PLL are alike (RM0090 7.3, RM0410 5.3).

#if defined(TINYMIA_STM32F4) || defined(TINYMIA_STM32F7)

#include "clock.h"
#include "registers.h"

namespace tinymia {
namespace {

using reg::At;

constexpr uint32_t kCr = reg::kRcc + 0x00;
constexpr uint32_t kPllCfgr = reg::kRcc + 0x04;
constexpr uint32_t kCfgr = reg::kRcc + 0x08;
constexpr uint32_t kPwrCr = 0x40007000;
constexpr uint32_t kPwrCsr = 0x40007004;
constexpr uint32_t kFlashAcr = 0x40023C00;
constexpr uint32_t kCrPllOn = 1u << 24;
constexpr uint32_t kCrPllReady = 1u << 25;
constexpr uint32_t kCfgrSwPll = 2u;
constexpr uint32_t kCfgrSwsMask = 3u << 2;
constexpr uint32_t kCfgrSwsPll = 2u << 2;
constexpr uint32_t kPwrClockBit = 1u << 28;  // APB1ENR
constexpr uint32_t kHsiHz = 16000000;

// 16 MHz / 8 * n / 2 = n MHz; Q gives the generator of random numbers at most 48 MHz.
#if defined(TINYMIA_STM32F405) || defined(TINYMIA_STM32F407)
constexpr uint32_t kMegahertz = 168, kQ = 7, kWaitStates = 5;  // RM0090 table 10
constexpr uint32_t kApb1 = 4, kApb2 = 2;                       // at most 42 and 84 MHz
#elif defined(TINYMIA_STM32F411)
constexpr uint32_t kMegahertz = 100, kQ = 5, kWaitStates = 3;  // RM0383 table 5
constexpr uint32_t kApb1 = 2, kApb2 = 1;                       // at most 50 and 100 MHz
#elif defined(TINYMIA_STM32F446)
constexpr uint32_t kMegahertz = 168, kQ = 7, kWaitStates = 5;  // RM0390 table 5; without overdrive
constexpr uint32_t kApb1 = 4, kApb2 = 2;                       // at most 45 and 90 MHz
#elif defined(TINYMIA_STM32F767)
constexpr uint32_t kMegahertz = 216, kQ = 9, kWaitStates = 7;  // RM0410 table 7; with overdrive
constexpr uint32_t kApb1 = 4, kApb2 = 2;                       // at most 54 and 108 MHz
#else
#error "this chip of the series has no entry here yet: add its speed, from its reference manual"
#endif

#ifdef TINYMIA_STM32F7
constexpr uint32_t kFlashAhead = 3u << 8;  // ART accelerator, prefetch (RM0410 3.7.1)
constexpr uint32_t kLatencyMask = 15u;
#else
constexpr uint32_t kFlashAhead = 7u << 8;  // prefetch, instruction and data cache (RM0090 3.9.1)
constexpr uint32_t kLatencyMask = 7u;
#endif

// The field of a prescaler of 1, 2 or 4: 0, 4 or 5.
constexpr uint32_t Prescaler(uint32_t by) { return by == 1 ? 0 : by == 2 ? 4 : 5; }

// The regulator's scale 1, which these speeds need; reset gives it to all but the F411. It takes
// effect when the PLL is switched on.
void RaiseVoltage() {
  EnableClock(reg::kApb1Clock, kPwrClockBit);
#ifdef TINYMIA_STM32F411
  At(kPwrCr) = At(kPwrCr) | 3u << 14;  // RM0383 5.4.1
#endif
}

// With the PLL on: whether the voltage is there.
bool VoltageIsUp() {
#ifdef TINYMIA_STM32F7
  // Overdrive, for above 180 MHz (RM0410 4.1.4).
  constexpr uint32_t kOn = 1u << 16, kSwitch = 1u << 17;  // and their ready bits in CSR1
  At(kPwrCr) = At(kPwrCr) | kOn;
  if (!WaitFor(kPwrCsr, kOn, kOn)) return false;
  At(kPwrCr) = At(kPwrCr) | kSwitch;
  return WaitFor(kPwrCsr, kSwitch, kSwitch);
#else
  constexpr uint32_t kScaleReady = 1u << 14;  // VOSRDY (RM0090 5.4.2, RM0383 5.4.2)
  return WaitFor(kPwrCsr, kScaleReady, kScaleReady);
#endif
}

}  // namespace

Clocks StartClock() {
  constexpr Clocks kReset = {kHsiHz, kHsiHz, kHsiHz};
  RaiseVoltage();
  // Source HSI is 0, P = 2 is 0; R, where there is one, must be 2 at least.
  At(kPllCfgr) = (At(kPllCfgr) & 7u << 28) | kQ << 24 | kMegahertz << 6 | 8u;
  At(kCr) = At(kCr) | kCrPllOn;
  if (!VoltageIsUp() || !WaitFor(kCr, kCrPllReady, kCrPllReady)) return kReset;
  At(kFlashAcr) = kFlashAhead | kWaitStates;
  // Too few wait states at full speed would fetch garbage: never switch without them.
  if (!WaitFor(kFlashAcr, kLatencyMask, kWaitStates)) return kReset;
  constexpr uint32_t kBuses = Prescaler(kApb1) << 10 | Prescaler(kApb2) << 13;
  At(kCfgr) = kBuses;
  At(kCfgr) = kBuses | kCfgrSwPll;
  if (!WaitFor(kCfgr, kCfgrSwsMask, kCfgrSwsPll)) {
    At(kCfgr) = 0;
    return kReset;
  }
  constexpr uint32_t kHz = kMegahertz * 1000000;
  return {kHz, kHz / kApb1, kHz / kApb2};
}

}  // namespace tinymia

#endif
