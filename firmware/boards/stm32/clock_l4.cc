// Clocks of the L4 (RM0351 6.4): 80 MHz, its most, at the reset's voltage range 1.

#ifdef TINYMIA_STM32L4

#include "clock.h"
#include "registers.h"

namespace tinymia {
namespace {

using reg::At;

constexpr uint32_t kCr = reg::kRcc + 0x00;
constexpr uint32_t kCfgr = reg::kRcc + 0x08;
constexpr uint32_t kPllCfgr = reg::kRcc + 0x0C;
constexpr uint32_t kCcipr = reg::kRcc + 0x88;
constexpr uint32_t kFlashAcr = 0x40022000;
constexpr uint32_t kCrHsiOn = 1u << 8;
constexpr uint32_t kCrHsiReady = 1u << 10;
constexpr uint32_t kCrPllOn = 1u << 24;
constexpr uint32_t kCrPllReady = 1u << 25;
constexpr uint32_t kSwPll = 3u;
constexpr uint32_t kSwsMask = 3u << 2;
constexpr uint32_t kSwsPll = 3u << 2;
constexpr uint32_t kMsiHz = 4000000;
constexpr uint32_t kHz = 80000000;

}  // namespace

Clocks StartClock() {
  constexpr Clocks kReset = {kMsiHz, kMsiHz, kMsiHz};
  At(kCr) = At(kCr) | kCrHsiOn;
  if (!WaitFor(kCr, kCrHsiReady, kCrHsiReady)) return kReset;
  // HSI 16 MHz * 10 / 2 for the core (R), / 4 = 40 MHz for the generator of random numbers (Q).
  constexpr uint32_t kSourceHsi = 2u, kQ = 1u << 20 | 1u << 21, kR = 1u << 24;
  At(kPllCfgr) = kSourceHsi | 10u << 8 | kQ | kR;
  At(kCr) = At(kCr) | kCrPllOn;
  if (!WaitFor(kCr, kCrPllReady, kCrPllReady)) return kReset;
  constexpr uint32_t kWaitStates = 4u;    // table 12
  At(kFlashAcr) = 7u << 8 | kWaitStates;  // prefetch, instruction and data cache
  if (!WaitFor(kFlashAcr, 7u, kWaitStates)) return kReset;
  At(kCfgr) = kSwPll;
  if (!WaitFor(kCfgr, kSwsMask, kSwsPll)) {
    At(kCfgr) = 0;
    return kReset;
  }
  At(kCcipr) = (At(kCcipr) & ~(3u << 26)) | 2u << 26;  // CLK48SEL: the PLL's Q
  return {kHz, kHz, kHz};
}

}  // namespace tinymia

#endif
