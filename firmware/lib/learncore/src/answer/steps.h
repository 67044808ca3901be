// Steps that guards of answers share.
#pragma once

#include <stdint.h>

#include "../fmath.h"

namespace tinymia {

// Log-probabilities less their largest: logits, the largest being 0. May work in place.
inline void ToLogits(const float* probabilities, uint32_t n, float* logits) {
  constexpr float kLeast = 1.17549435e-38f;  // the smallest normal float
  float most = -88.0f;
  for (uint32_t k = 0; k < n; ++k) {
    logits[k] = Log(Larger(probabilities[k], kLeast));
    most = Larger(logits[k], most);
  }
  for (uint32_t k = 0; k < n; ++k) logits[k] = logits[k] - most;
}

// May work in place.
inline void Softmax(const float* logits, uint32_t n, float* probabilities) {
  float most = logits[0];
  for (uint32_t k = 1; k < n; ++k) most = Larger(logits[k], most);
  float sum = 0.0f;
  for (uint32_t k = 0; k < n; ++k) {
    probabilities[k] = ExpOfNegative(logits[k] - most);
    sum = sum + probabilities[k];
  }
  for (uint32_t k = 0; k < n; ++k) probabilities[k] = probabilities[k] / sum;
}

inline void FirstOrder(uint32_t n, uint8_t* order) {
  for (uint32_t k = 0; k < n; ++k) order[k] = static_cast<uint8_t>(k);
}

// Puts class numbers into the order of falling values; equal ones stay as they stand. Quick where
// little has changed since the last time.
inline void Sort(const float* values, uint32_t n, uint8_t* order) {
  for (uint32_t i = 1; i < n; ++i) {
    const uint8_t moved = order[i];
    uint32_t at = i;
    for (; at > 0 && values[order[at - 1]] < values[moved]; --at) order[at] = order[at - 1];
    order[at] = moved;
  }
}

// Sees to it that the most probable class is `label`, whatever rounding did.
inline void KeepLabel(uint32_t label, float* answer, uint32_t n) {
  uint32_t best = label;
  for (uint32_t k = 0; k < n; ++k) best = answer[k] > answer[best] ? k : best;
  const float largest = answer[best];
  answer[best] = answer[label];
  answer[label] = largest;
  for (uint32_t k = 0; k < label; ++k) {  // of equal ones the first counts
    if (answer[k] == largest && largest > 0.0f) answer[k] = BitsToFloat(FloatToBits(largest) - 1);
  }
}

}  // namespace tinymia
