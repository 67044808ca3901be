#include "hal.h"

namespace tinymia::hal {

// Of the ring oscillator's random bit the datasheet says that it "does not meet the requirements of
// randomness for security systems because it can be compromised" (2.17.5).
bool Entropy(uint32_t*, uint32_t) { return false; }

}  // namespace tinymia::hal
