// A device's update in collaborative training: what it learned since it took the shared tail, as
// whole numbers. They add up exactly whoever adds them, in whatever order, and behind masks.
#pragma once

#include <stdint.h>

#include "../train/noise.h"

namespace tinymia {

struct UpdateSettings {
  float clip_norm;  // bound of the update's norm
  uint32_t units;   // whole numbers to the clip norm
  float noise;      // standard deviation of the noise, in clip norms; 0: none
};

constexpr float kLeastUpdateClip = 1e-6f;
constexpr float kMostUpdateClip = 1e6f;
constexpr float kMostUpdateNoise = 64.0f;
constexpr uint32_t kLeastUnits = 16;
constexpr uint32_t kMostUnits = 1u << 21;  // RoundToInt takes twice as much

// Numbered as a refusal says it; kNone: all are in range.
enum class UpdateTerm : uint32_t { kNone = 0, kClipNorm, kUnits, kNoise, kWidth, kShared };
UpdateTerm CheckUpdate(const UpdateSettings& settings);

struct UpdateFacts {
  float norm;  // before it was clipped
  bool clipped;
};

// Bound of the norm, in units, of what is sent without noise: rounding each of `count` numbers to
// the nearest whole one adds at most sqrt(count) / 2, and floats at most 1 more.
float BoundOfUnits(uint32_t units, uint32_t count);

// Standard deviation of the noise in units, as DiscreteGaussian takes it: `noise` times that bound,
// and never less.
uint32_t SigmaOfUpdate(const UpdateSettings& settings, uint32_t count);

// shared[i], the parameter that training started at, becomes the bits of an int32_t: theta[i] minus
// it, clipped over all, in units, rounded to nearest, plus noise. An update that is no number is
// all zero.
UpdateFacts MakeUpdate(const float* theta, uint32_t count, const UpdateSettings& settings,
                       const SecretKey& key, float* shared);

// The first of `count` numbers that `width` bytes in two's complement do not hold; `count`: none.
uint32_t FirstTooLarge(const float* update, uint32_t count, uint32_t width);

// The lowest `width` bytes of each, little endian.
void WriteUpdate(const float* update, uint32_t count, uint32_t width, uint8_t* out);

}  // namespace tinymia
