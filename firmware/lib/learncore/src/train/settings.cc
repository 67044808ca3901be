#include "settings.h"

namespace tinymia {
namespace {

// cos(pi * u) = sin(pi * v) with v = 0.5 - u, for u from 0 to 1: v times a polynomial in v * v
// (Chebyshev interpolation). Absolute error below 2e-7; 1 at u = 0.
float CosPi(float u) {
  const float v = 0.5f - u;
  const float z = v * v;
  float y = 0.0776576623f;
  y = y * z - 0.598291278f;
  y = y * z + 2.55007744f;
  y = y * z - 5.1677103f;
  y = y * z + 3.14159274f;
  return y * v;
}

}  // namespace

Setting CheckSettings(const TrainSettings& settings) {
  const Setting wrong = CheckDeclared(settings);
  if (wrong != Setting::kNone) return wrong;
  if (settings.adversary_rate > 0 && settings.references == 0) return Setting::kAdversaryRate;
  return settings.left_out != 0 && settings.left_out >= settings.heads ? Setting::kLeftOut : wrong;
}

float RateFactor(const TrainSettings& settings, uint32_t epoch) {
  if (settings.schedule == RateSchedule::kConstant) return 1.0f;
  if (epoch >= settings.schedule_epochs) return 0.0f;
  const float done = static_cast<float>(epoch) / static_cast<float>(settings.schedule_epochs);
  if (settings.schedule == RateSchedule::kLinear) return 1.0f - done;
  const float factor = 0.5f + 0.5f * CosPi(done);
  return factor > 0.0f ? factor : 0.0f;
}

}  // namespace tinymia
