#include "settings.h"

namespace tinymia {
namespace {

// False for NaN.
bool Within(float x, float low, float high) { return x >= low && x <= high; }
bool Share(float x) { return x >= 0.0f && x < 1.0f; }

template <typename Enum>
bool UpTo(Enum x, Enum last) {
  return static_cast<uint8_t>(x) <= static_cast<uint8_t>(last);
}

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

Setting CheckSettings(const TrainSettings& s) {
  if (!(s.learning_rate > 0.0f && s.learning_rate <= 100.0f)) return Setting::kLearningRate;
  if (s.batch == 0) return Setting::kBatch;
  if (!Within(s.clip_norm, 0.0f, 1e6f)) return Setting::kClipNorm;
  if (!Share(s.label_smoothing)) return Setting::kLabelSmoothing;
  if (!UpTo(s.trained, Trained::kBiases)) return Setting::kTrained;
  if (!UpTo(s.optimizer, Optimizer::kAdam)) return Setting::kOptimizer;
  if (!Share(s.momentum)) return Setting::kMomentum;
  if (!Share(s.beta2)) return Setting::kBeta2;
  if (!UpTo(s.schedule, RateSchedule::kCosine)) return Setting::kSchedule;
  if ((s.schedule_epochs > 0) != (s.schedule != RateSchedule::kConstant)) {
    return Setting::kScheduleEpochs;
  }
  if (!Within(s.l2, 0.0f, 1.0f)) return Setting::kL2;
  if (!Within(s.dropout, 0.0f, 0.95f)) return Setting::kDropout;
  if (!Within(s.mixup, 0.0f, 8.0f)) return Setting::kMixup;
  // A gradient of two examples, or a look at some, is not what the noise hides.
  if (s.is_private() && s.mixup > 0.0f) return Setting::kMixup;
  if (s.holdout > 50 || (s.holdout > 0) != (s.patience > 0)) return Setting::kHoldout;
  if (s.is_private() && s.holdout > 0) return Setting::kHoldout;
  if (!Within(s.jitter, 0.0f, 10.0f)) return Setting::kJitter;
  if (!Within(s.scaling, 0.0f, 2.0f)) return Setting::kScaling;
  if (!Within(s.rotation, 0.0f, 4.0f)) return Setting::kRotation;
  if (s.shift > 1024) return Setting::kShift;
  if (s.noise_multiplier == 0.0f) return Setting::kNone;
  if (!Within(s.noise_multiplier, 0.01f, 64.0f)) return Setting::kNoiseMultiplier;
  return s.clip_norm > 0.0f ? Setting::kNone : Setting::kNoiseMultiplier;
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
