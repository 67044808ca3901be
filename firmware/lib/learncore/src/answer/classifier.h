// A bundle's classifiers of members, which MemGuard confuses: section CLSF. Each reads an answer's
// probabilities, largest first, through one hidden layer of ReLU; above 0 it says "member".
#pragma once

#include <stdint.h>

namespace tinymia {

struct Classifier {
  const float* values = nullptr;  // weights [hidden][classes], bias [hidden], out [hidden], bias
  uint32_t classes = 0;
  uint32_t hidden = 0;

  const float* bias() const { return values + hidden * classes; }
  const float* out() const { return bias() + hidden; }
  float out_bias() const { return out()[hidden]; }
};

struct Classifiers {
  uint32_t count = 0;
  Classifier first;

  Classifier operator[](uint32_t i) const {
    const uint32_t each = first.hidden * (first.classes + 2) + 1;
    return {first.values + i * each, first.classes, first.hidden};
  }
};

constexpr uint32_t kMaxClassifiers = 16;
constexpr uint32_t kMaxHidden = 64;

// `data` is 4-byte aligned and not trusted. False where it is no such section.
bool ParseClassifiers(const uint8_t* data, uint32_t size, Classifiers* out);

}  // namespace tinymia
