// Generated from firmware/protocol/protocol.toml. Do not edit.
// clang-format off
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../cold.h"

namespace tinymia {

// What a step does with the mean gradient.
enum class Optimizer : uint8_t {
  kSgd = 0,
  kMomentum = 1,
  kAdam = 2,
};

// How the learning rate falls to zero over schedule_epochs.
enum class RateSchedule : uint8_t {
  kConstant = 0,
  kLinear = 1,
  kCosine = 2,
};

// Which parameters of the trained layers change: weights and biases, or biases alone.
enum class Trained : uint8_t {
  kWeights = 0,
  kBiases = 1,
};

// How to train: every switch of the one training step. Off is always 0.
struct TrainSettings {
  float learning_rate = 0.2f;  // of the optimizer, on the mean gradient of a mini-batch
  uint16_t batch = 8;  // examples in a mini-batch (the last one of an epoch may be smaller); with noise, how many are expected
  float clip_norm = 0.0f;  // bound of one example's gradient norm over all that is trained
  float label_smoothing = 0.0f;  // mass of the target that is spread evenly over all classes
  uint64_t seed = 0;  // of the order of examples and all that is drawn
  Trained trained = Trained::kWeights;  // weights and biases, or biases alone
  Optimizer optimizer = Optimizer::kSgd;  // what a step does with the mean gradient
  float momentum = 0.9f;  // of MOMENTUM; first decay of ADAM
  float beta2 = 0.999f;  // second decay of ADAM
  RateSchedule schedule = RateSchedule::kConstant;  // how the learning rate falls to zero
  uint16_t schedule_epochs = 0;  // epochs over which it does
  float l2 = 0.0f;  // adds l2 * w to the mean gradient of each weight (not of biases)
  float dropout = 0.0f;  // share of the last layer's inputs that is dropped
  float mixup = 0.0f;  // alpha of Beta(alpha, alpha)
  uint8_t holdout = 0;  // per cent of the members that are held out for early stopping
  uint16_t patience = 0;  // epochs without a better held-out loss before training stops
  uint8_t heads = 0;  // heads that are trained side by side, each on its part of the members; what is left is their mean
  uint8_t left_out = 0;  // how many of the heads each member is left out of; one fewer than heads: parts are disjoint
  uint16_t teacher_epochs = 0;  // epochs behind which what is trained becomes the teacher of a student that starts from the base network
  float teacher_temperature = 0.0f;  // what a teacher's logits are divided by
  uint16_t references = 0;  // how many of the bundle's references the student learns from; 0: from the members, of which each is taught by the heads that left it out
  float jitter = 0.0f;  // augmentation: noise on each value, in deviations of the normalised signal
  float scaling = 0.0f;  // augmentation: deviation of each channel's factor
  float rotation = 0.0f;  // augmentation: deviation of the rotation of each sensor's axes, radians
  uint16_t shift = 0;  // augmentation: most samples of shift in time
  float noise_multiplier = 0.0f;  // of DP-SGD: deviation of the noise, in clip norms; examples are then drawn by Poisson sampling
  uint16_t expected_members = 0;  // of DP-SGD: public number of members that gives the sampling rate (batch / expected_members) and the steps of an epoch, whatever their true number is

  bool augments() const { return jitter > 0 || scaling > 0 || rotation > 0 || shift > 0; }
  bool is_private() const { return noise_multiplier > 0; }
};

// The settings in the protocol's order, by which a refusal names the wrong one.
enum class Setting : uint8_t {
  kNone = 0,
  kLearningRate = 1,
  kBatch = 2,
  kClipNorm = 3,
  kLabelSmoothing = 4,
  kSeed = 5,
  kTrained = 6,
  kOptimizer = 7,
  kMomentum = 8,
  kBeta2 = 9,
  kSchedule = 10,
  kScheduleEpochs = 11,
  kL2 = 12,
  kDropout = 13,
  kMixup = 14,
  kHoldout = 15,
  kPatience = 16,
  kHeads = 17,
  kLeftOut = 18,
  kTeacherEpochs = 19,
  kTeacherTemperature = 20,
  kReferences = 21,
  kJitter = 22,
  kScaling = 23,
  kRotation = 24,
  kShift = 25,
  kNoiseMultiplier = 26,
  kExpectedMembers = 27,
};

// The first setting that is out of range by itself or beside the others (NaN is, too).
TINYMIA_COLD inline Setting CheckDeclared(const TrainSettings& s) {
  if (!(s.learning_rate >= 1e-30f && s.learning_rate <= 100.0f)) return Setting::kLearningRate;
  if (!(s.batch >= 1)) return Setting::kBatch;
  if (!(s.clip_norm == 0.0f || (s.clip_norm >= 1e-06f && s.clip_norm <= 1000000.0f))) return Setting::kClipNorm;
  if (!(s.label_smoothing == 0.0f || (s.label_smoothing >= 1e-06f && s.label_smoothing < 1.0f))) return Setting::kLabelSmoothing;
  if (static_cast<uint8_t>(s.trained) > 1) return Setting::kTrained;
  if (static_cast<uint8_t>(s.optimizer) > 2) return Setting::kOptimizer;
  if (!(s.momentum >= 0.0f && s.momentum < 1.0f)) return Setting::kMomentum;
  if (!(s.beta2 >= 0.0f && s.beta2 < 1.0f)) return Setting::kBeta2;
  if (static_cast<uint8_t>(s.schedule) > 2) return Setting::kSchedule;
  if ((s.schedule_epochs > 0) != (static_cast<uint8_t>(s.schedule) != 0)) return Setting::kScheduleEpochs;
  if (!(s.l2 == 0.0f || (s.l2 >= 1e-06f && s.l2 <= 1.0f))) return Setting::kL2;
  if (!(s.dropout == 0.0f || (s.dropout >= 1e-06f && s.dropout <= 0.95f))) return Setting::kDropout;
  if (!(s.mixup == 0.0f || (s.mixup >= 1e-06f && s.mixup <= 8.0f))) return Setting::kMixup;
  if (s.mixup > 0 && s.noise_multiplier > 0) return Setting::kMixup;
  if (!(s.holdout <= 50)) return Setting::kHoldout;
  if ((s.holdout > 0) != (s.patience > 0)) return Setting::kHoldout;
  if (s.holdout > 0 && s.noise_multiplier > 0) return Setting::kHoldout;
  if (!(s.heads <= 32)) return Setting::kHeads;
  if (s.heads > 0 && static_cast<uint8_t>(s.optimizer) != 0) return Setting::kHeads;
  if (s.heads > 0 && s.patience > 0) return Setting::kHeads;
  if (s.heads > 0 && s.noise_multiplier > 0) return Setting::kHeads;
  if (!(s.left_out <= 31)) return Setting::kLeftOut;
  if ((s.left_out > 0) != (s.heads > 0)) return Setting::kLeftOut;
  if (s.teacher_epochs > 0 && s.mixup > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.patience > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.jitter > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.scaling > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.rotation > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.shift > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.noise_multiplier > 0) return Setting::kTeacherEpochs;
  if (!(s.teacher_temperature == 0.0f || (s.teacher_temperature >= 1.0f && s.teacher_temperature <= 100.0f))) return Setting::kTeacherTemperature;
  if ((s.teacher_temperature > 0) != (s.teacher_epochs > 0)) return Setting::kTeacherTemperature;
  if (!(s.references <= 4096)) return Setting::kReferences;
  if (s.references > 0 && !(s.teacher_epochs > 0)) return Setting::kReferences;
  if (!(s.jitter == 0.0f || (s.jitter >= 1e-06f && s.jitter <= 10.0f))) return Setting::kJitter;
  if (!(s.scaling == 0.0f || (s.scaling >= 1e-06f && s.scaling <= 2.0f))) return Setting::kScaling;
  if (!(s.rotation == 0.0f || (s.rotation >= 1e-06f && s.rotation <= 4.0f))) return Setting::kRotation;
  if (!(s.shift <= 1024)) return Setting::kShift;
  if (!(s.noise_multiplier == 0.0f || (s.noise_multiplier >= 0.01f && s.noise_multiplier <= 64.0f))) return Setting::kNoiseMultiplier;
  if (s.noise_multiplier > 0 && !(s.clip_norm > 0)) return Setting::kNoiseMultiplier;
  if ((s.expected_members > 0) != (s.noise_multiplier > 0)) return Setting::kExpectedMembers;
  return Setting::kNone;
}

// From a request whose fields are called as the settings are.
template <typename Request>
TrainSettings SettingsFrom(const Request& request) {
  TrainSettings s;
  s.learning_rate = request.learning_rate;
  s.batch = request.batch;
  s.clip_norm = request.clip_norm;
  s.label_smoothing = request.label_smoothing;
  s.seed = request.seed;
  s.trained = static_cast<Trained>(request.trained);
  s.optimizer = static_cast<Optimizer>(request.optimizer);
  s.momentum = request.momentum;
  s.beta2 = request.beta2;
  s.schedule = static_cast<RateSchedule>(request.schedule);
  s.schedule_epochs = request.schedule_epochs;
  s.l2 = request.l2;
  s.dropout = request.dropout;
  s.mixup = request.mixup;
  s.holdout = request.holdout;
  s.patience = request.patience;
  s.heads = request.heads;
  s.left_out = request.left_out;
  s.teacher_epochs = request.teacher_epochs;
  s.teacher_temperature = request.teacher_temperature;
  s.references = request.references;
  s.jitter = request.jitter;
  s.scaling = request.scaling;
  s.rotation = request.rotation;
  s.shift = request.shift;
  s.noise_multiplier = request.noise_multiplier;
  s.expected_members = request.expected_members;
  return s;
}

// Each value in the protocol's order.
template <typename Visit>
void EachSetting(const TrainSettings& s, Visit visit) {
  visit(s.learning_rate);
  visit(s.batch);
  visit(s.clip_norm);
  visit(s.label_smoothing);
  visit(s.seed);
  visit(s.trained);
  visit(s.optimizer);
  visit(s.momentum);
  visit(s.beta2);
  visit(s.schedule);
  visit(s.schedule_epochs);
  visit(s.l2);
  visit(s.dropout);
  visit(s.mixup);
  visit(s.holdout);
  visit(s.patience);
  visit(s.heads);
  visit(s.left_out);
  visit(s.teacher_epochs);
  visit(s.teacher_temperature);
  visit(s.references);
  visit(s.jitter);
  visit(s.scaling);
  visit(s.rotation);
  visit(s.shift);
  visit(s.noise_multiplier);
  visit(s.expected_members);
}

// Where each lies in the struct, for a host's arrays.
struct SettingField {
  const char* name;
  const char* format;  // NumPy's
  size_t offset;
};
constexpr SettingField kSettingFields[] = {
    {"learning_rate", "<f4", offsetof(TrainSettings, learning_rate)},
    {"batch", "<u2", offsetof(TrainSettings, batch)},
    {"clip_norm", "<f4", offsetof(TrainSettings, clip_norm)},
    {"label_smoothing", "<f4", offsetof(TrainSettings, label_smoothing)},
    {"seed", "<u8", offsetof(TrainSettings, seed)},
    {"trained", "<u1", offsetof(TrainSettings, trained)},
    {"optimizer", "<u1", offsetof(TrainSettings, optimizer)},
    {"momentum", "<f4", offsetof(TrainSettings, momentum)},
    {"beta2", "<f4", offsetof(TrainSettings, beta2)},
    {"schedule", "<u1", offsetof(TrainSettings, schedule)},
    {"schedule_epochs", "<u2", offsetof(TrainSettings, schedule_epochs)},
    {"l2", "<f4", offsetof(TrainSettings, l2)},
    {"dropout", "<f4", offsetof(TrainSettings, dropout)},
    {"mixup", "<f4", offsetof(TrainSettings, mixup)},
    {"holdout", "<u1", offsetof(TrainSettings, holdout)},
    {"patience", "<u2", offsetof(TrainSettings, patience)},
    {"heads", "<u1", offsetof(TrainSettings, heads)},
    {"left_out", "<u1", offsetof(TrainSettings, left_out)},
    {"teacher_epochs", "<u2", offsetof(TrainSettings, teacher_epochs)},
    {"teacher_temperature", "<f4", offsetof(TrainSettings, teacher_temperature)},
    {"references", "<u2", offsetof(TrainSettings, references)},
    {"jitter", "<f4", offsetof(TrainSettings, jitter)},
    {"scaling", "<f4", offsetof(TrainSettings, scaling)},
    {"rotation", "<f4", offsetof(TrainSettings, rotation)},
    {"shift", "<u2", offsetof(TrainSettings, shift)},
    {"noise_multiplier", "<f4", offsetof(TrainSettings, noise_multiplier)},
    {"expected_members", "<u2", offsetof(TrainSettings, expected_members)},
};

}  // namespace tinymia
