// Generated from firmware/protocol/protocol.toml. Do not edit.
// clang-format off
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../chosen.h"
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

// How to train: every switch of the one training step. Off is always 0. What an image is built
// without is off for good, and the code for it goes with it.
struct TrainSettings {
  float learning_rate = 0.2f;  // of the optimizer, on the mean gradient of a mini-batch
  uint16_t batch = 8;  // examples in a mini-batch (the last one of an epoch may be smaller); with noise, how many are expected
#ifdef TINYMIA_WITHOUT_CLIP_NORM
  static constexpr float clip_norm = 0;
#else
  float clip_norm = 0.0f;  // bound of one example's gradient norm over all that is trained
#endif
#ifdef TINYMIA_WITHOUT_LABEL_SMOOTHING
  static constexpr float label_smoothing = 0;
#else
  float label_smoothing = 0.0f;  // mass of the target that is spread evenly over all classes
#endif
  uint64_t seed = 0;  // of the order of examples and all that is drawn
  Trained trained = Trained::kWeights;  // weights and biases, or biases alone
  Optimizer optimizer = Optimizer::kSgd;  // what a step does with the mean gradient
  float momentum = 0.9f;  // of MOMENTUM; first decay of ADAM
  float beta2 = 0.999f;  // second decay of ADAM
  RateSchedule schedule = RateSchedule::kConstant;  // how the learning rate falls to zero
#ifdef TINYMIA_WITHOUT_SCHEDULE_EPOCHS
  static constexpr uint16_t schedule_epochs = 0;
#else
  uint16_t schedule_epochs = 0;  // epochs over which it does
#endif
#ifdef TINYMIA_WITHOUT_L2
  static constexpr float l2 = 0;
#else
  float l2 = 0.0f;  // adds l2 * w to the mean gradient of each weight (not of biases)
#endif
#ifdef TINYMIA_WITHOUT_DROPOUT
  static constexpr float dropout = 0;
#else
  float dropout = 0.0f;  // share of the last layer's inputs that is dropped
#endif
#ifdef TINYMIA_WITHOUT_MIXUP
  static constexpr float mixup = 0;
#else
  float mixup = 0.0f;  // alpha of Beta(alpha, alpha)
#endif
#ifdef TINYMIA_WITHOUT_CONFIDENCE_PENALTY
  static constexpr float confidence_penalty = 0;
#else
  float confidence_penalty = 0.0f;  // times the entropy of an example's probabilities, which is taken from its loss
#endif
#ifdef TINYMIA_WITHOUT_FOCAL_LOSS
  static constexpr float focal_loss = 0;
#else
  float focal_loss = 0.0f;  // gamma of focal loss: an example's loss times (1 - probability of its class)^gamma
#endif
#ifdef TINYMIA_WITHOUT_RELAX_LOSS
  static constexpr float relax_loss = 0;
#else
  float relax_loss = 0.0f;  // alpha of RelaxLoss: a mini-batch with less mean loss is ascended in epochs 0, 2, ... and flattened in the others
#endif
#ifdef TINYMIA_WITHOUT_BASE_PULL
  static constexpr float base_pull = 0;
#else
  float base_pull = 0.0f;  // adds base_pull * (w - w at the start, which is the base network or a shared tail) to the mean gradient of each parameter
#endif
#ifdef TINYMIA_WITHOUT_WEIGHT_BITS
  static constexpr uint8_t weight_bits = 0;
#else
  uint8_t weight_bits = 0;  // weights of each trained layer are rounded to that many bits
#endif
#ifdef TINYMIA_WITHOUT_PRUNE
  static constexpr float prune = 0;
#else
  float prune = 0.0f;  // share of each trained layer's weights, the smallest ones, that is set to 0 and stays there
#endif
#ifdef TINYMIA_WITHOUT_COMPRESS_AFTER
  static constexpr uint16_t compress_after = 0;
#else
  uint16_t compress_after = 0;  // epochs behind which weights are rounded and pruned, then behind each further one; 0: behind each
#endif
#ifdef TINYMIA_WITHOUT_HOLDOUT
  static constexpr uint8_t holdout = 0;
#else
  uint8_t holdout = 0;  // per cent of the members that are held out for early stopping
#endif
#ifdef TINYMIA_WITHOUT_PATIENCE
  static constexpr uint16_t patience = 0;
#else
  uint16_t patience = 0;  // epochs without a better held-out loss before training stops
#endif
#ifdef TINYMIA_WITHOUT_HEADS
  static constexpr uint8_t heads = 0;
#else
  uint8_t heads = 0;  // heads that are trained side by side, each on its part of the members; what is left is their mean
#endif
#ifdef TINYMIA_WITHOUT_LEFT_OUT
  static constexpr uint8_t left_out = 0;
#else
  uint8_t left_out = 0;  // how many of the heads each member is left out of; one fewer than heads: parts are disjoint
#endif
#ifdef TINYMIA_WITHOUT_TEACHER_EPOCHS
  static constexpr uint16_t teacher_epochs = 0;
#else
  uint16_t teacher_epochs = 0;  // epochs behind which what is trained becomes the teacher of a student that starts from the base network
#endif
#ifdef TINYMIA_WITHOUT_TEACHER_TEMPERATURE
  static constexpr float teacher_temperature = 0;
#else
  float teacher_temperature = 0.0f;  // what a teacher's logits are divided by
#endif
#ifdef TINYMIA_WITHOUT_REFERENCES
  static constexpr uint16_t references = 0;
#else
  uint16_t references = 0;  // how many of the bundle's references a student learns from (0: from the members, of which each is taught by the heads that left it out), or members are held beside
#endif
#ifdef TINYMIA_WITHOUT_JITTER
  static constexpr float jitter = 0;
#else
  float jitter = 0.0f;  // augmentation: noise on each value, in deviations of the normalised signal
#endif
#ifdef TINYMIA_WITHOUT_SCALING
  static constexpr float scaling = 0;
#else
  float scaling = 0.0f;  // augmentation: deviation of each channel's factor
#endif
#ifdef TINYMIA_WITHOUT_ROTATION
  static constexpr float rotation = 0;
#else
  float rotation = 0.0f;  // augmentation: deviation of the rotation of each sensor's axes, radians
#endif
#ifdef TINYMIA_WITHOUT_SHIFT
  static constexpr uint16_t shift = 0;
#else
  uint16_t shift = 0;  // augmentation: most samples of shift in time
#endif
#ifdef TINYMIA_WITHOUT_NOISE_MULTIPLIER
  static constexpr float noise_multiplier = 0;
#else
  float noise_multiplier = 0.0f;  // of DP-SGD: deviation of the noise, in clip norms; examples are then drawn by Poisson sampling
#endif
#ifdef TINYMIA_WITHOUT_EXPECTED_MEMBERS
  static constexpr uint16_t expected_members = 0;
#else
  uint16_t expected_members = 0;  // of DP-SGD: public number of members that gives the sampling rate (batch / expected_members) and the steps of an epoch, whatever their true number is
#endif
#ifdef TINYMIA_WITHOUT_SHAPED
  static constexpr uint8_t shaped = 0;
#else
  uint8_t shaped = 0;  // of DP-SGD on the last layer: gradients are clipped and noise is added in the coordinates of the bundle's public shape
#endif
#ifdef TINYMIA_WITHOUT_ADVERSARY
  static constexpr float adversary = 0;
#else
  float adversary = 0.0f;  // lambda of adversarial regularisation: times the gain of the bundle's first classifier of members, which is added to an example's loss
#endif
#ifdef TINYMIA_WITHOUT_ADVERSARY_RATE
  static constexpr float adversary_rate = 0;
#else
  float adversary_rate = 0.0f;  // learning rate of that classifier, which learns to tell a step's members from references before each step (with references only); 0: it stays as it is
#endif
#ifdef TINYMIA_WITHOUT_MMD
  static constexpr float mmd = 0;
#else
  float mmd = 0.0f;  // times the squared distance between the mean probabilities of a mini-batch's examples and of the references of the same class, which is added to their loss
#endif
#ifdef TINYMIA_WITHOUT_STACKING
  static constexpr float stacking = 0;
#else
  float stacking = 0.0f;  // learning rate of what combines the heads' logits, which learns from a further part of the members; 0: their mean
#endif
#ifdef TINYMIA_WITHOUT_SCREEN
  static constexpr uint8_t screen = 0;
#else
  uint8_t screen = 0;  // per cent of the members (rounded down) that are left out of training: those whose labels the network as training starts finds least likely, of a class at most three quarters
#endif

  bool augments() const { return jitter > 0 || scaling > 0 || rotation > 0 || shift > 0; }
  bool is_private() const { return noise_multiplier > 0; }
};

// Whether this image is not built without a setting.
#ifdef TINYMIA_WITHOUT_CLIP_NORM
constexpr bool kHasClipNorm = false;
#else
constexpr bool kHasClipNorm = true;
#endif
#ifdef TINYMIA_WITHOUT_LABEL_SMOOTHING
constexpr bool kHasLabelSmoothing = false;
#else
constexpr bool kHasLabelSmoothing = true;
#endif
#ifdef TINYMIA_WITHOUT_SCHEDULE_EPOCHS
constexpr bool kHasScheduleEpochs = false;
#else
constexpr bool kHasScheduleEpochs = true;
#endif
#ifdef TINYMIA_WITHOUT_L2
constexpr bool kHasL2 = false;
#else
constexpr bool kHasL2 = true;
#endif
#ifdef TINYMIA_WITHOUT_DROPOUT
constexpr bool kHasDropout = false;
#else
constexpr bool kHasDropout = true;
#endif
#ifdef TINYMIA_WITHOUT_MIXUP
constexpr bool kHasMixup = false;
#else
constexpr bool kHasMixup = true;
#endif
#ifdef TINYMIA_WITHOUT_CONFIDENCE_PENALTY
constexpr bool kHasConfidencePenalty = false;
#else
constexpr bool kHasConfidencePenalty = true;
#endif
#ifdef TINYMIA_WITHOUT_FOCAL_LOSS
constexpr bool kHasFocalLoss = false;
#else
constexpr bool kHasFocalLoss = true;
#endif
#ifdef TINYMIA_WITHOUT_RELAX_LOSS
constexpr bool kHasRelaxLoss = false;
#else
constexpr bool kHasRelaxLoss = true;
#endif
#ifdef TINYMIA_WITHOUT_BASE_PULL
constexpr bool kHasBasePull = false;
#else
constexpr bool kHasBasePull = true;
#endif
#ifdef TINYMIA_WITHOUT_WEIGHT_BITS
constexpr bool kHasWeightBits = false;
#else
constexpr bool kHasWeightBits = true;
#endif
#ifdef TINYMIA_WITHOUT_PRUNE
constexpr bool kHasPrune = false;
#else
constexpr bool kHasPrune = true;
#endif
#ifdef TINYMIA_WITHOUT_COMPRESS_AFTER
constexpr bool kHasCompressAfter = false;
#else
constexpr bool kHasCompressAfter = true;
#endif
#ifdef TINYMIA_WITHOUT_HOLDOUT
constexpr bool kHasHoldout = false;
#else
constexpr bool kHasHoldout = true;
#endif
#ifdef TINYMIA_WITHOUT_PATIENCE
constexpr bool kHasPatience = false;
#else
constexpr bool kHasPatience = true;
#endif
#ifdef TINYMIA_WITHOUT_HEADS
constexpr bool kHasHeads = false;
#else
constexpr bool kHasHeads = true;
#endif
#ifdef TINYMIA_WITHOUT_LEFT_OUT
constexpr bool kHasLeftOut = false;
#else
constexpr bool kHasLeftOut = true;
#endif
#ifdef TINYMIA_WITHOUT_TEACHER_EPOCHS
constexpr bool kHasTeacherEpochs = false;
#else
constexpr bool kHasTeacherEpochs = true;
#endif
#ifdef TINYMIA_WITHOUT_TEACHER_TEMPERATURE
constexpr bool kHasTeacherTemperature = false;
#else
constexpr bool kHasTeacherTemperature = true;
#endif
#ifdef TINYMIA_WITHOUT_REFERENCES
constexpr bool kHasReferences = false;
#else
constexpr bool kHasReferences = true;
#endif
#ifdef TINYMIA_WITHOUT_JITTER
constexpr bool kHasJitter = false;
#else
constexpr bool kHasJitter = true;
#endif
#ifdef TINYMIA_WITHOUT_SCALING
constexpr bool kHasScaling = false;
#else
constexpr bool kHasScaling = true;
#endif
#ifdef TINYMIA_WITHOUT_ROTATION
constexpr bool kHasRotation = false;
#else
constexpr bool kHasRotation = true;
#endif
#ifdef TINYMIA_WITHOUT_SHIFT
constexpr bool kHasShift = false;
#else
constexpr bool kHasShift = true;
#endif
#ifdef TINYMIA_WITHOUT_NOISE_MULTIPLIER
constexpr bool kHasNoiseMultiplier = false;
#else
constexpr bool kHasNoiseMultiplier = true;
#endif
#ifdef TINYMIA_WITHOUT_EXPECTED_MEMBERS
constexpr bool kHasExpectedMembers = false;
#else
constexpr bool kHasExpectedMembers = true;
#endif
#ifdef TINYMIA_WITHOUT_SHAPED
constexpr bool kHasShaped = false;
#else
constexpr bool kHasShaped = true;
#endif
#ifdef TINYMIA_WITHOUT_ADVERSARY
constexpr bool kHasAdversary = false;
#else
constexpr bool kHasAdversary = true;
#endif
#ifdef TINYMIA_WITHOUT_ADVERSARY_RATE
constexpr bool kHasAdversaryRate = false;
#else
constexpr bool kHasAdversaryRate = true;
#endif
#ifdef TINYMIA_WITHOUT_MMD
constexpr bool kHasMmd = false;
#else
constexpr bool kHasMmd = true;
#endif
#ifdef TINYMIA_WITHOUT_STACKING
constexpr bool kHasStacking = false;
#else
constexpr bool kHasStacking = true;
#endif
#ifdef TINYMIA_WITHOUT_SCREEN
constexpr bool kHasScreen = false;
#else
constexpr bool kHasScreen = true;
#endif

// Sets what this image is not built without.
#ifdef TINYMIA_WITHOUT_CLIP_NORM
inline void SetClipNorm(TrainSettings*, float) {}
#else
inline void SetClipNorm(TrainSettings* s, float value) { s->clip_norm = value; }
#endif
#ifdef TINYMIA_WITHOUT_LABEL_SMOOTHING
inline void SetLabelSmoothing(TrainSettings*, float) {}
#else
inline void SetLabelSmoothing(TrainSettings* s, float value) { s->label_smoothing = value; }
#endif
#ifdef TINYMIA_WITHOUT_SCHEDULE_EPOCHS
inline void SetScheduleEpochs(TrainSettings*, uint16_t) {}
#else
inline void SetScheduleEpochs(TrainSettings* s, uint16_t value) { s->schedule_epochs = value; }
#endif
#ifdef TINYMIA_WITHOUT_L2
inline void SetL2(TrainSettings*, float) {}
#else
inline void SetL2(TrainSettings* s, float value) { s->l2 = value; }
#endif
#ifdef TINYMIA_WITHOUT_DROPOUT
inline void SetDropout(TrainSettings*, float) {}
#else
inline void SetDropout(TrainSettings* s, float value) { s->dropout = value; }
#endif
#ifdef TINYMIA_WITHOUT_MIXUP
inline void SetMixup(TrainSettings*, float) {}
#else
inline void SetMixup(TrainSettings* s, float value) { s->mixup = value; }
#endif
#ifdef TINYMIA_WITHOUT_CONFIDENCE_PENALTY
inline void SetConfidencePenalty(TrainSettings*, float) {}
#else
inline void SetConfidencePenalty(TrainSettings* s, float value) { s->confidence_penalty = value; }
#endif
#ifdef TINYMIA_WITHOUT_FOCAL_LOSS
inline void SetFocalLoss(TrainSettings*, float) {}
#else
inline void SetFocalLoss(TrainSettings* s, float value) { s->focal_loss = value; }
#endif
#ifdef TINYMIA_WITHOUT_RELAX_LOSS
inline void SetRelaxLoss(TrainSettings*, float) {}
#else
inline void SetRelaxLoss(TrainSettings* s, float value) { s->relax_loss = value; }
#endif
#ifdef TINYMIA_WITHOUT_BASE_PULL
inline void SetBasePull(TrainSettings*, float) {}
#else
inline void SetBasePull(TrainSettings* s, float value) { s->base_pull = value; }
#endif
#ifdef TINYMIA_WITHOUT_WEIGHT_BITS
inline void SetWeightBits(TrainSettings*, uint8_t) {}
#else
inline void SetWeightBits(TrainSettings* s, uint8_t value) { s->weight_bits = value; }
#endif
#ifdef TINYMIA_WITHOUT_PRUNE
inline void SetPrune(TrainSettings*, float) {}
#else
inline void SetPrune(TrainSettings* s, float value) { s->prune = value; }
#endif
#ifdef TINYMIA_WITHOUT_COMPRESS_AFTER
inline void SetCompressAfter(TrainSettings*, uint16_t) {}
#else
inline void SetCompressAfter(TrainSettings* s, uint16_t value) { s->compress_after = value; }
#endif
#ifdef TINYMIA_WITHOUT_HOLDOUT
inline void SetHoldout(TrainSettings*, uint8_t) {}
#else
inline void SetHoldout(TrainSettings* s, uint8_t value) { s->holdout = value; }
#endif
#ifdef TINYMIA_WITHOUT_PATIENCE
inline void SetPatience(TrainSettings*, uint16_t) {}
#else
inline void SetPatience(TrainSettings* s, uint16_t value) { s->patience = value; }
#endif
#ifdef TINYMIA_WITHOUT_HEADS
inline void SetHeads(TrainSettings*, uint8_t) {}
#else
inline void SetHeads(TrainSettings* s, uint8_t value) { s->heads = value; }
#endif
#ifdef TINYMIA_WITHOUT_LEFT_OUT
inline void SetLeftOut(TrainSettings*, uint8_t) {}
#else
inline void SetLeftOut(TrainSettings* s, uint8_t value) { s->left_out = value; }
#endif
#ifdef TINYMIA_WITHOUT_TEACHER_EPOCHS
inline void SetTeacherEpochs(TrainSettings*, uint16_t) {}
#else
inline void SetTeacherEpochs(TrainSettings* s, uint16_t value) { s->teacher_epochs = value; }
#endif
#ifdef TINYMIA_WITHOUT_TEACHER_TEMPERATURE
inline void SetTeacherTemperature(TrainSettings*, float) {}
#else
inline void SetTeacherTemperature(TrainSettings* s, float value) { s->teacher_temperature = value; }
#endif
#ifdef TINYMIA_WITHOUT_REFERENCES
inline void SetReferences(TrainSettings*, uint16_t) {}
#else
inline void SetReferences(TrainSettings* s, uint16_t value) { s->references = value; }
#endif
#ifdef TINYMIA_WITHOUT_JITTER
inline void SetJitter(TrainSettings*, float) {}
#else
inline void SetJitter(TrainSettings* s, float value) { s->jitter = value; }
#endif
#ifdef TINYMIA_WITHOUT_SCALING
inline void SetScaling(TrainSettings*, float) {}
#else
inline void SetScaling(TrainSettings* s, float value) { s->scaling = value; }
#endif
#ifdef TINYMIA_WITHOUT_ROTATION
inline void SetRotation(TrainSettings*, float) {}
#else
inline void SetRotation(TrainSettings* s, float value) { s->rotation = value; }
#endif
#ifdef TINYMIA_WITHOUT_SHIFT
inline void SetShift(TrainSettings*, uint16_t) {}
#else
inline void SetShift(TrainSettings* s, uint16_t value) { s->shift = value; }
#endif
#ifdef TINYMIA_WITHOUT_NOISE_MULTIPLIER
inline void SetNoiseMultiplier(TrainSettings*, float) {}
#else
inline void SetNoiseMultiplier(TrainSettings* s, float value) { s->noise_multiplier = value; }
#endif
#ifdef TINYMIA_WITHOUT_EXPECTED_MEMBERS
inline void SetExpectedMembers(TrainSettings*, uint16_t) {}
#else
inline void SetExpectedMembers(TrainSettings* s, uint16_t value) { s->expected_members = value; }
#endif
#ifdef TINYMIA_WITHOUT_SHAPED
inline void SetShaped(TrainSettings*, uint8_t) {}
#else
inline void SetShaped(TrainSettings* s, uint8_t value) { s->shaped = value; }
#endif
#ifdef TINYMIA_WITHOUT_ADVERSARY
inline void SetAdversary(TrainSettings*, float) {}
#else
inline void SetAdversary(TrainSettings* s, float value) { s->adversary = value; }
#endif
#ifdef TINYMIA_WITHOUT_ADVERSARY_RATE
inline void SetAdversaryRate(TrainSettings*, float) {}
#else
inline void SetAdversaryRate(TrainSettings* s, float value) { s->adversary_rate = value; }
#endif
#ifdef TINYMIA_WITHOUT_MMD
inline void SetMmd(TrainSettings*, float) {}
#else
inline void SetMmd(TrainSettings* s, float value) { s->mmd = value; }
#endif
#ifdef TINYMIA_WITHOUT_STACKING
inline void SetStacking(TrainSettings*, float) {}
#else
inline void SetStacking(TrainSettings* s, float value) { s->stacking = value; }
#endif
#ifdef TINYMIA_WITHOUT_SCREEN
inline void SetScreen(TrainSettings*, uint8_t) {}
#else
inline void SetScreen(TrainSettings* s, uint8_t value) { s->screen = value; }
#endif

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
  kConfidencePenalty = 15,
  kFocalLoss = 16,
  kRelaxLoss = 17,
  kBasePull = 18,
  kWeightBits = 19,
  kPrune = 20,
  kCompressAfter = 21,
  kHoldout = 22,
  kPatience = 23,
  kHeads = 24,
  kLeftOut = 25,
  kTeacherEpochs = 26,
  kTeacherTemperature = 27,
  kReferences = 28,
  kJitter = 29,
  kScaling = 30,
  kRotation = 31,
  kShift = 32,
  kNoiseMultiplier = 33,
  kExpectedMembers = 34,
  kShaped = 35,
  kAdversary = 36,
  kAdversaryRate = 37,
  kMmd = 38,
  kStacking = 39,
  kScreen = 40,
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
  if (!(s.confidence_penalty == 0.0f || (s.confidence_penalty >= 1e-06f && s.confidence_penalty <= 10.0f))) return Setting::kConfidencePenalty;
  if (!(s.focal_loss == 0.0f || (s.focal_loss >= 1.0f && s.focal_loss <= 8.0f))) return Setting::kFocalLoss;
  if (s.focal_loss > 0 && s.label_smoothing > 0) return Setting::kFocalLoss;
  if (s.focal_loss > 0 && s.confidence_penalty > 0) return Setting::kFocalLoss;
  if (s.focal_loss > 0 && s.mixup > 0) return Setting::kFocalLoss;
  if (!(s.relax_loss == 0.0f || (s.relax_loss >= 1e-06f && s.relax_loss <= 10.0f))) return Setting::kRelaxLoss;
  if (s.relax_loss > 0 && s.label_smoothing > 0) return Setting::kRelaxLoss;
  if (s.relax_loss > 0 && s.confidence_penalty > 0) return Setting::kRelaxLoss;
  if (s.relax_loss > 0 && s.focal_loss > 0) return Setting::kRelaxLoss;
  if (s.relax_loss > 0 && s.mixup > 0) return Setting::kRelaxLoss;
  if (s.relax_loss > 0 && s.noise_multiplier > 0) return Setting::kRelaxLoss;
  if (!(s.base_pull == 0.0f || (s.base_pull >= 1e-06f && s.base_pull <= 1.0f))) return Setting::kBasePull;
  if (!(s.weight_bits == 0 || (s.weight_bits >= 2 && s.weight_bits <= 8))) return Setting::kWeightBits;
  if (s.weight_bits > 0 && s.patience > 0) return Setting::kWeightBits;
  if (!(s.prune == 0.0f || (s.prune >= 0.01f && s.prune <= 0.99f))) return Setting::kPrune;
  if (s.prune > 0 && s.patience > 0) return Setting::kPrune;
  if (!(s.holdout <= 50)) return Setting::kHoldout;
  if ((s.holdout > 0) != (s.patience > 0)) return Setting::kHoldout;
  if (s.holdout > 0 && s.noise_multiplier > 0) return Setting::kHoldout;
  if (!(s.heads == 0 || (s.heads >= 2 && s.heads <= 32))) return Setting::kHeads;
  if (s.heads > 0 && static_cast<uint8_t>(s.optimizer) != 0) return Setting::kHeads;
  if (s.heads > 0 && s.weight_bits > 0) return Setting::kHeads;
  if (s.heads > 0 && s.prune > 0) return Setting::kHeads;
  if (s.heads > 0 && s.patience > 0) return Setting::kHeads;
  if (s.heads > 0 && s.noise_multiplier > 0) return Setting::kHeads;
  if (!(s.left_out <= 31)) return Setting::kLeftOut;
  if ((s.left_out > 0) != (s.heads > 0)) return Setting::kLeftOut;
  if (s.teacher_epochs > 0 && s.mixup > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.confidence_penalty > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.focal_loss > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.relax_loss > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.weight_bits > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.prune > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.patience > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.jitter > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.scaling > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.rotation > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.shift > 0) return Setting::kTeacherEpochs;
  if (s.teacher_epochs > 0 && s.noise_multiplier > 0) return Setting::kTeacherEpochs;
  if (!(s.teacher_temperature == 0.0f || (s.teacher_temperature >= 1.0f && s.teacher_temperature <= 100.0f))) return Setting::kTeacherTemperature;
  if ((s.teacher_temperature > 0) != (s.teacher_epochs > 0)) return Setting::kTeacherTemperature;
  if (!(s.references <= 4096)) return Setting::kReferences;
  if (s.references > 0 && !(s.teacher_epochs > 0 || s.adversary_rate > 0 || s.mmd > 0)) return Setting::kReferences;
  if (!(s.jitter == 0.0f || (s.jitter >= 1e-06f && s.jitter <= 10.0f))) return Setting::kJitter;
  if (!(s.scaling == 0.0f || (s.scaling >= 1e-06f && s.scaling <= 2.0f))) return Setting::kScaling;
  if (!(s.rotation == 0.0f || (s.rotation >= 1e-06f && s.rotation <= 4.0f))) return Setting::kRotation;
  if (!(s.shift <= 1024)) return Setting::kShift;
  if (!(s.noise_multiplier == 0.0f || (s.noise_multiplier >= 0.01f && s.noise_multiplier <= 64.0f))) return Setting::kNoiseMultiplier;
  if (s.noise_multiplier > 0 && !(s.clip_norm > 0)) return Setting::kNoiseMultiplier;
  if ((s.expected_members > 0) != (s.noise_multiplier > 0)) return Setting::kExpectedMembers;
  if (!(s.shaped <= 1)) return Setting::kShaped;
  if (s.shaped > 0 && !(s.noise_multiplier > 0)) return Setting::kShaped;
  if (s.shaped > 0 && s.dropout > 0) return Setting::kShaped;
  if (!(s.adversary == 0.0f || (s.adversary >= 0.001f && s.adversary <= 100.0f))) return Setting::kAdversary;
  if (s.adversary > 0 && s.noise_multiplier > 0) return Setting::kAdversary;
  if (s.adversary > 0 && s.teacher_epochs > 0) return Setting::kAdversary;
  if (s.adversary > 0 && s.heads > 0) return Setting::kAdversary;
  if (!(s.adversary_rate == 0.0f || (s.adversary_rate >= 1e-06f && s.adversary_rate <= 100.0f))) return Setting::kAdversaryRate;
  if (s.adversary_rate > 0 && !(s.adversary > 0)) return Setting::kAdversaryRate;
  if (!(s.mmd == 0.0f || (s.mmd >= 0.001f && s.mmd <= 1000.0f))) return Setting::kMmd;
  if (s.mmd > 0 && !(s.references > 0)) return Setting::kMmd;
  if (s.mmd > 0 && s.noise_multiplier > 0) return Setting::kMmd;
  if (s.mmd > 0 && s.teacher_epochs > 0) return Setting::kMmd;
  if (s.mmd > 0 && s.heads > 0) return Setting::kMmd;
  if (!(s.stacking == 0.0f || (s.stacking >= 1e-06f && s.stacking <= 10.0f))) return Setting::kStacking;
  if (s.stacking > 0 && !(s.heads > 0)) return Setting::kStacking;
  if (s.stacking > 0 && static_cast<uint8_t>(s.trained) != 0) return Setting::kStacking;
  if (s.stacking > 0 && s.teacher_epochs > 0) return Setting::kStacking;
  if (!(s.screen <= 50)) return Setting::kScreen;
  if (s.screen > 0 && s.noise_multiplier > 0) return Setting::kScreen;
  return Setting::kNone;
}

// From a request whose fields are called as the settings are.
template <typename Request>
TrainSettings SettingsFrom(const Request& request) {
  TrainSettings s;
  s.learning_rate = request.learning_rate;
  s.batch = request.batch;
  SetClipNorm(&s, request.clip_norm);
  SetLabelSmoothing(&s, request.label_smoothing);
  s.seed = request.seed;
  s.trained = static_cast<Trained>(request.trained);
  s.optimizer = static_cast<Optimizer>(request.optimizer);
  s.momentum = request.momentum;
  s.beta2 = request.beta2;
  s.schedule = static_cast<RateSchedule>(request.schedule);
  SetScheduleEpochs(&s, request.schedule_epochs);
  SetL2(&s, request.l2);
  SetDropout(&s, request.dropout);
  SetMixup(&s, request.mixup);
  SetConfidencePenalty(&s, request.confidence_penalty);
  SetFocalLoss(&s, request.focal_loss);
  SetRelaxLoss(&s, request.relax_loss);
  SetBasePull(&s, request.base_pull);
  SetWeightBits(&s, request.weight_bits);
  SetPrune(&s, request.prune);
  SetCompressAfter(&s, request.compress_after);
  SetHoldout(&s, request.holdout);
  SetPatience(&s, request.patience);
  SetHeads(&s, request.heads);
  SetLeftOut(&s, request.left_out);
  SetTeacherEpochs(&s, request.teacher_epochs);
  SetTeacherTemperature(&s, request.teacher_temperature);
  SetReferences(&s, request.references);
  SetJitter(&s, request.jitter);
  SetScaling(&s, request.scaling);
  SetRotation(&s, request.rotation);
  SetShift(&s, request.shift);
  SetNoiseMultiplier(&s, request.noise_multiplier);
  SetExpectedMembers(&s, request.expected_members);
  SetShaped(&s, request.shaped);
  SetAdversary(&s, request.adversary);
  SetAdversaryRate(&s, request.adversary_rate);
  SetMmd(&s, request.mmd);
  SetStacking(&s, request.stacking);
  SetScreen(&s, request.screen);
  return s;
}

// The first setting that a request switches on and this image is built without.
template <typename Request>
Setting LeftOutOf(const Request& request) {
  (void)request;
#ifdef TINYMIA_WITHOUT_CLIP_NORM
  if (request.clip_norm > 0) return Setting::kClipNorm;
#endif
#ifdef TINYMIA_WITHOUT_LABEL_SMOOTHING
  if (request.label_smoothing > 0) return Setting::kLabelSmoothing;
#endif
#ifdef TINYMIA_WITHOUT_SCHEDULE_EPOCHS
  if (request.schedule_epochs > 0) return Setting::kScheduleEpochs;
#endif
#ifdef TINYMIA_WITHOUT_L2
  if (request.l2 > 0) return Setting::kL2;
#endif
#ifdef TINYMIA_WITHOUT_DROPOUT
  if (request.dropout > 0) return Setting::kDropout;
#endif
#ifdef TINYMIA_WITHOUT_MIXUP
  if (request.mixup > 0) return Setting::kMixup;
#endif
#ifdef TINYMIA_WITHOUT_CONFIDENCE_PENALTY
  if (request.confidence_penalty > 0) return Setting::kConfidencePenalty;
#endif
#ifdef TINYMIA_WITHOUT_FOCAL_LOSS
  if (request.focal_loss > 0) return Setting::kFocalLoss;
#endif
#ifdef TINYMIA_WITHOUT_RELAX_LOSS
  if (request.relax_loss > 0) return Setting::kRelaxLoss;
#endif
#ifdef TINYMIA_WITHOUT_BASE_PULL
  if (request.base_pull > 0) return Setting::kBasePull;
#endif
#ifdef TINYMIA_WITHOUT_WEIGHT_BITS
  if (request.weight_bits > 0) return Setting::kWeightBits;
#endif
#ifdef TINYMIA_WITHOUT_PRUNE
  if (request.prune > 0) return Setting::kPrune;
#endif
#ifdef TINYMIA_WITHOUT_COMPRESS_AFTER
  if (request.compress_after > 0) return Setting::kCompressAfter;
#endif
#ifdef TINYMIA_WITHOUT_HOLDOUT
  if (request.holdout > 0) return Setting::kHoldout;
#endif
#ifdef TINYMIA_WITHOUT_PATIENCE
  if (request.patience > 0) return Setting::kPatience;
#endif
#ifdef TINYMIA_WITHOUT_HEADS
  if (request.heads > 0) return Setting::kHeads;
#endif
#ifdef TINYMIA_WITHOUT_LEFT_OUT
  if (request.left_out > 0) return Setting::kLeftOut;
#endif
#ifdef TINYMIA_WITHOUT_TEACHER_EPOCHS
  if (request.teacher_epochs > 0) return Setting::kTeacherEpochs;
#endif
#ifdef TINYMIA_WITHOUT_TEACHER_TEMPERATURE
  if (request.teacher_temperature > 0) return Setting::kTeacherTemperature;
#endif
#ifdef TINYMIA_WITHOUT_REFERENCES
  if (request.references > 0) return Setting::kReferences;
#endif
#ifdef TINYMIA_WITHOUT_JITTER
  if (request.jitter > 0) return Setting::kJitter;
#endif
#ifdef TINYMIA_WITHOUT_SCALING
  if (request.scaling > 0) return Setting::kScaling;
#endif
#ifdef TINYMIA_WITHOUT_ROTATION
  if (request.rotation > 0) return Setting::kRotation;
#endif
#ifdef TINYMIA_WITHOUT_SHIFT
  if (request.shift > 0) return Setting::kShift;
#endif
#ifdef TINYMIA_WITHOUT_NOISE_MULTIPLIER
  if (request.noise_multiplier > 0) return Setting::kNoiseMultiplier;
#endif
#ifdef TINYMIA_WITHOUT_EXPECTED_MEMBERS
  if (request.expected_members > 0) return Setting::kExpectedMembers;
#endif
#ifdef TINYMIA_WITHOUT_SHAPED
  if (request.shaped > 0) return Setting::kShaped;
#endif
#ifdef TINYMIA_WITHOUT_ADVERSARY
  if (request.adversary > 0) return Setting::kAdversary;
#endif
#ifdef TINYMIA_WITHOUT_ADVERSARY_RATE
  if (request.adversary_rate > 0) return Setting::kAdversaryRate;
#endif
#ifdef TINYMIA_WITHOUT_MMD
  if (request.mmd > 0) return Setting::kMmd;
#endif
#ifdef TINYMIA_WITHOUT_STACKING
  if (request.stacking > 0) return Setting::kStacking;
#endif
#ifdef TINYMIA_WITHOUT_SCREEN
  if (request.screen > 0) return Setting::kScreen;
#endif
  return Setting::kNone;
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
  visit(s.confidence_penalty);
  visit(s.focal_loss);
  visit(s.relax_loss);
  visit(s.base_pull);
  visit(s.weight_bits);
  visit(s.prune);
  visit(s.compress_after);
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
  visit(s.shaped);
  visit(s.adversary);
  visit(s.adversary_rate);
  visit(s.mmd);
  visit(s.stacking);
  visit(s.screen);
}

#ifndef TINYMIA_OPERATORS
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
    {"confidence_penalty", "<f4", offsetof(TrainSettings, confidence_penalty)},
    {"focal_loss", "<f4", offsetof(TrainSettings, focal_loss)},
    {"relax_loss", "<f4", offsetof(TrainSettings, relax_loss)},
    {"base_pull", "<f4", offsetof(TrainSettings, base_pull)},
    {"weight_bits", "<u1", offsetof(TrainSettings, weight_bits)},
    {"prune", "<f4", offsetof(TrainSettings, prune)},
    {"compress_after", "<u2", offsetof(TrainSettings, compress_after)},
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
    {"shaped", "<u1", offsetof(TrainSettings, shaped)},
    {"adversary", "<f4", offsetof(TrainSettings, adversary)},
    {"adversary_rate", "<f4", offsetof(TrainSettings, adversary_rate)},
    {"mmd", "<f4", offsetof(TrainSettings, mmd)},
    {"stacking", "<f4", offsetof(TrainSettings, stacking)},
    {"screen", "<u1", offsetof(TrainSettings, screen)},
};
#endif

}  // namespace tinymia
