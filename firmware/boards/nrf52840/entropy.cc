// The chip's generator of random numbers (nRF52840 PS, chapter RNG): true numbers from thermal
// noise, "suitable for cryptographic purposes". With its bias correction, which makes them uniform,
// a byte takes about 120 us.

#include "hal.h"
#include "registers.h"

namespace tinymia::hal {
namespace {

using reg::At;

constexpr uint32_t kMostPolls = 200000;  // how long a byte takes is not bounded; this is over 10 ms

bool NextByte(uint32_t* byte) {
  for (uint32_t i = 0; i < kMostPolls; ++i) {
    if (At(reg::kRngReady) == 0) continue;
    At(reg::kRngReady) = 0;
    *byte = At(reg::kRngValue);
    return true;
  }
  return false;
}

bool NextWord(uint32_t* word) {
  *word = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t byte;
    if (!NextByte(&byte)) return false;
    *word = *word << 8 | byte;
  }
  return true;
}

bool Draw(uint32_t* words, uint32_t count) {
  // A generator that is stuck repeats itself: each word is compared with the one before.
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
  At(reg::kRngConfig) = reg::kRngConfigUnbiased;
  At(reg::kRngReady) = 0;
  At(reg::kRngStart) = 1;
  const bool drawn = Draw(words, count);
  At(reg::kRngStop) = 1;
  return drawn;
}

}  // namespace tinymia::hal
