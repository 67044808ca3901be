// Generated from firmware/protocol/protocol.toml. Do not edit.
// clang-format off
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../cold.h"

namespace tinymia {

// What law an answer's noise has.
enum class NoiseLaw : uint8_t {
  kNone = 0,
  kLaplace = 1,
  kGaussian = 2,
};

// How answers are guarded before a policy cuts them. Off is always 0.
struct GuardSettings {
  float temperature = 0.0f;  // what logits are divided by
  NoiseLaw noise_law = NoiseLaw::kNone;  // of the noise on logits
  float noise = 0.0f;  // scale of the Laplace law, deviation of the Gaussian one, in logits
  float noise_bound = 0.0f;  // the most by which a logit falls behind the largest one before noise is added: what bounds the influence of the data
  uint32_t answers = 0;  // the most answers that are given since training began, in a release build since the board was switched on, repeated ones counted
  uint8_t classifier = 0;  // of MemGuard: which of the bundle's classifiers of members the noise is to confuse, counted from 1
  float distortion = 0.0f;  // of MemGuard: expected distance of the answer from the true one, in summed absolute differences
  uint8_t swap = 0;  // of HAMP: an answer gives a random window's probabilities in the order of its own classes
  uint8_t watch = 0;  // of the detector: questions' worth of evidence at which it takes the stream of questions since the last TRAIN for no ordinary use
  float watch_near = 0.0f;  // of the detector: about how far from an earlier question, in codes of what the trained layers read (root of the mean square), one is taken for a changed copy of it
  float watch_spread = 0.0f;  // of the detector: squared distance to the nearest of the questions that are kept, by the mean one, from which on a question is taken for one that no signal gave
  uint8_t watch_refuse = 0;  // of the detector: what follows is refused; 0: it is answered by labels alone
};

// The settings in the protocol's order, by which a refusal names the wrong one.
enum class GuardSetting : uint8_t {
  kNone = 0,
  kTemperature = 1,
  kNoiseLaw = 2,
  kNoise = 3,
  kNoiseBound = 4,
  kAnswers = 5,
  kClassifier = 6,
  kDistortion = 7,
  kSwap = 8,
  kWatch = 9,
  kWatchNear = 10,
  kWatchSpread = 11,
  kWatchRefuse = 12,
};

// The first setting that is out of range by itself or beside the others (NaN is, too).
TINYMIA_COLD inline GuardSetting CheckGuard(const GuardSettings& s) {
  if (!(s.temperature == 0.0f || (s.temperature >= 1.01f && s.temperature <= 1000.0f))) return GuardSetting::kTemperature;
  if (static_cast<uint8_t>(s.noise_law) > 2) return GuardSetting::kNoiseLaw;
  if (!(s.noise == 0.0f || (s.noise >= 0.01f && s.noise <= 1000.0f))) return GuardSetting::kNoise;
  if ((s.noise > 0) != (static_cast<uint8_t>(s.noise_law) != 0)) return GuardSetting::kNoise;
  if (!(s.noise_bound == 0.0f || (s.noise_bound >= 0.1f && s.noise_bound <= 80.0f))) return GuardSetting::kNoiseBound;
  if ((s.noise_bound > 0) != (static_cast<uint8_t>(s.noise_law) != 0)) return GuardSetting::kNoiseBound;
  if (!(s.classifier <= 16)) return GuardSetting::kClassifier;
  if (s.classifier > 0 && static_cast<uint8_t>(s.noise_law) != 0) return GuardSetting::kClassifier;
  if (!(s.distortion == 0.0f || (s.distortion >= 0.001f && s.distortion <= 2.0f))) return GuardSetting::kDistortion;
  if ((s.distortion > 0) != (s.classifier > 0)) return GuardSetting::kDistortion;
  if (!(s.swap <= 1)) return GuardSetting::kSwap;
  if (s.swap > 0 && s.classifier > 0) return GuardSetting::kSwap;
  if (!(s.watch_near == 0.0f || (s.watch_near >= 0.01f && s.watch_near <= 32.0f))) return GuardSetting::kWatchNear;
  if ((s.watch_near > 0) != (s.watch > 0)) return GuardSetting::kWatchNear;
  if (!(s.watch_spread == 0.0f || (s.watch_spread >= 0.01f && s.watch_spread <= 1.0f))) return GuardSetting::kWatchSpread;
  if ((s.watch_spread > 0) != (s.watch > 0)) return GuardSetting::kWatchSpread;
  if (!(s.watch_refuse <= 1)) return GuardSetting::kWatchRefuse;
  if (s.watch_refuse > 0 && !(s.watch > 0)) return GuardSetting::kWatchRefuse;
  return GuardSetting::kNone;
}

// As GUARD and a bundle's section GARD hold them: one behind the other, little endian.
constexpr uint32_t kGuardBytes = 33;
inline GuardSettings ReadGuard(const uint8_t* at) {
  GuardSettings s;
  memcpy(&s.temperature, at + 0, 4);
  memcpy(&s.noise_law, at + 4, 1);
  memcpy(&s.noise, at + 5, 4);
  memcpy(&s.noise_bound, at + 9, 4);
  memcpy(&s.answers, at + 13, 4);
  memcpy(&s.classifier, at + 17, 1);
  memcpy(&s.distortion, at + 18, 4);
  memcpy(&s.swap, at + 22, 1);
  memcpy(&s.watch, at + 23, 1);
  memcpy(&s.watch_near, at + 24, 4);
  memcpy(&s.watch_spread, at + 28, 4);
  memcpy(&s.watch_refuse, at + 32, 1);
  return s;
}

// From a request whose fields are called as the settings are.
template <typename Request>
GuardSettings GuardFrom(const Request& request) {
  GuardSettings s;
  s.temperature = request.temperature;
  s.noise_law = static_cast<NoiseLaw>(request.noise_law);
  s.noise = request.noise;
  s.noise_bound = request.noise_bound;
  s.answers = request.answers;
  s.classifier = request.classifier;
  s.distortion = request.distortion;
  s.swap = request.swap;
  s.watch = request.watch;
  s.watch_near = request.watch_near;
  s.watch_spread = request.watch_spread;
  s.watch_refuse = request.watch_refuse;
  return s;
}

}  // namespace tinymia
