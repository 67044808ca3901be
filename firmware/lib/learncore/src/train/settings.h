// How to train: every switch of the one training step. Off is always 0.
#pragma once

#include <stdint.h>

namespace tinymia {

enum class Optimizer : uint8_t { kSgd = 0, kMomentum = 1, kAdam = 2 };
enum class RateSchedule : uint8_t { kConstant = 0, kLinear = 1, kCosine = 2 };
enum class Trained : uint8_t { kWeights = 0, kBiases = 1 };  // kWeights: weights and biases

struct TrainSettings {
  float learning_rate = 0.2f;
  uint16_t batch = 1;
  float clip_norm = 0.0f;  // bound of one example's gradient norm over all that is trained
  float label_smoothing = 0.0f;
  uint64_t seed = 0;
  Trained trained = Trained::kWeights;
  Optimizer optimizer = Optimizer::kSgd;
  float momentum = 0.9f;  // of kMomentum; first decay of kAdam
  float beta2 = 0.999f;   // second decay of kAdam
  RateSchedule schedule = RateSchedule::kConstant;
  uint16_t schedule_epochs = 0;  // over which the rate falls to zero
  float l2 = 0.0f;               // adds l2 * w to the mean gradient of each weight (not of biases)
  float dropout = 0.0f;          // share of the last layer's inputs that is dropped
  float mixup = 0.0f;            // alpha of Beta(alpha, alpha)
  uint8_t holdout = 0;           // per cent of the members that are held out for early stopping
  uint16_t patience = 0;         // epochs without a better held-out loss before it stops
  float jitter = 0.0f;           // augmentation of windows, see augment.h
  float scaling = 0.0f;
  float rotation = 0.0f;
  uint16_t shift = 0;
  float noise_multiplier = 0.0f;  // of DP-SGD; examples are then drawn by Poisson sampling

  bool augments() const { return jitter > 0 || scaling > 0 || rotation > 0 || shift > 0; }
  bool is_private() const { return noise_multiplier > 0; }
};

// The settings in the protocol's order, by which a refusal names the wrong one.
enum class Setting : uint8_t {
  kNone = 0,
  kLearningRate = 1,
  kBatch,
  kClipNorm,
  kLabelSmoothing,
  kSeed,
  kTrained,
  kOptimizer,
  kMomentum,
  kBeta2,
  kSchedule,
  kScheduleEpochs,
  kL2,
  kDropout,
  kMixup,
  kHoldout,
  kPatience,
  kJitter,
  kScaling,
  kRotation,
  kShift,
  kNoiseMultiplier,
};

// The first setting that is out of range by itself or beside the others.
Setting CheckSettings(const TrainSettings& settings);

// Factor of the learning rate in an epoch (counted from 0).
float RateFactor(const TrainSettings& settings, uint32_t epoch);

}  // namespace tinymia
