// What an answer reveals.
#pragma once

#include <stdint.h>
#include <string.h>

namespace tinymia {

inline void WriteFull(const float* probabilities, uint32_t n, uint8_t* out) {
  memcpy(out, probabilities, n * sizeof(float));
}

inline uint32_t Top1(const float* probabilities, uint32_t n) {
  uint32_t best = 0;
  for (uint32_t k = 1; k < n; ++k) best = probabilities[k] > probabilities[best] ? k : best;
  return best;
}

inline void WriteLabel(const float* probabilities, uint32_t n, uint8_t* out) {
  *out = static_cast<uint8_t>(Top1(probabilities, n));
}

inline void WriteTop1(const float* probabilities, uint32_t n, uint8_t* out) {
  const uint32_t best = Top1(probabilities, n);
  *out = static_cast<uint8_t>(best);
  memcpy(out + 1, &probabilities[best], sizeof(float));
}

// The `shown` largest, the largest first, of equal ones the first; shown at most n.
inline void WriteTopK(const float* probabilities, uint32_t n, uint32_t shown, uint8_t* out) {
  uint32_t last = Top1(probabilities, n);
  for (uint32_t i = 0;; ++i, out += 5) {
    *out = static_cast<uint8_t>(last);
    memcpy(out + 1, &probabilities[last], sizeof(float));
    if (i + 1 >= shown) return;
    // The next one: the largest among those behind `last` in that order.
    uint32_t next = n;
    for (uint32_t k = 0; k < n; ++k) {
      const bool behind = probabilities[k] < probabilities[last] ||
                          (k > last && !(probabilities[k] > probabilities[last]));
      if (behind && (next == n || probabilities[k] > probabilities[next])) next = k;
    }
    last = next < n ? next : last;
  }
}

// Each probability as a whole number of steps of 1/levels (at most 65535), rounded to nearest,
// halves up; NaN, the answer of a tail that has overflowed, as 0. (What a complete model answers
// may be no probability.)
inline void WriteRounded(const float* probabilities, uint32_t n, uint32_t levels, uint8_t* out) {
  for (uint32_t k = 0; k < n; ++k) {
    const float steps = probabilities[k] * static_cast<float>(levels) + 0.5f;
    const float capped = steps < 65535.0f ? steps : 65535.0f;
    const uint16_t value = steps >= 1.0f ? static_cast<uint16_t>(capped) : 0;
    memcpy(out + 2 * k, &value, sizeof value);
  }
}

}  // namespace tinymia
