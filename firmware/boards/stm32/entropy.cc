// The chip's generator of random numbers (RM0090 chapter 24; the other series' works alike).

#include "clock.h"
#include "hal.h"
#include "registers.h"

namespace tinymia::hal {
namespace {

using reg::At;

constexpr uint32_t kMostPolls = 100000;  // a number takes 40 periods of the 48 MHz clock

bool NextWord(uint32_t* word) {
  for (uint32_t i = 0; i < kMostPolls; ++i) {
    const uint32_t status = At(reg::kRngSr);
    constexpr uint32_t kWrong =
        reg::kRngSrClockError | reg::kRngSrSeedError | reg::kRngSrErrorFlags;
    if ((status & kWrong) != 0) return false;
    if ((status & reg::kRngSrReady) == 0) continue;
    *word = At(reg::kRngDr);
    return true;
  }
  return false;
}

bool Draw(uint32_t* words, uint32_t count) {
  // The first number is not used, and each is compared with the one before (24.3.1).
  uint32_t before;
  if (!NextWord(&before)) return false;
  for (uint32_t i = 0; i < count; ++i) {
    if (!NextWord(&words[i]) || words[i] == before) return false;
    before = words[i];
  }
  return true;
}

}  // namespace

bool Entropy(uint32_t* words, uint32_t count) {
#if defined(TINYMIA_STM32F411) || defined(TINYMIA_STM32F446)
  static_cast<void>(Draw);
  static_cast<void>(words);
  static_cast<void>(count);
  return false;  // these chips have no generator
#else
  EnableClock(reg::kRngClock, reg::kRngClockBit);
  if ((At(reg::kRngClock) & reg::kRngClockBit) == 0) return false;
  At(reg::kRngSr) = 0;
  // Turned off first: after a seed error the generator starts anew (24.3.2).
  At(reg::kRngCr) = 0;
  At(reg::kRngCr) = reg::kRngCrEnable;
  const bool drawn = Draw(words, count);
  At(reg::kRngCr) = 0;
  return drawn;
#endif
}

}  // namespace tinymia::hal
