// What a device does to an answer before a policy cuts it: settings of GUARD, see protocol.toml.
#pragma once

#include <stdint.h>

#include "classifier.h"
#include "declared.h"
#include "keyed.h"

namespace tinymia {

// Floats that Guard needs beside the answer and the spare one.
constexpr uint32_t GuardScratch(uint32_t classes) { return 4 * classes + (classes + 3) / 4; }

// The random windows whose answers HAMP gives in place of the own; they are public, which of them
// is taken is not.
constexpr uint32_t kSpareWindows = 64;
void SpareWindow(uint32_t number, uint32_t bytes, int8_t* out);
uint32_t SpareOf(const SecretKey& query);

// Changes the probabilities `answer` [n], n at most 256, of the question that `query` is the key
// of. `classifier`: that of the settings; `spare`: the device's answer to the random window of the
// question, where the settings swap. Both may be nullptr else. An answer that holds no numbers
// stays as it is.
void Guard(const GuardSettings& settings, const Classifier* classifier, const SecretKey& query,
           const float* spare, float* answer, uint32_t n, float* scratch);

}  // namespace tinymia
