// A bundle in flash: the int8 model, its float layers if it can be personalised, a privacy
// budget if one is set, a release build's output policy and guard of answers, classifiers of
// members where an answer's guard needs them, and references for distillation. Layout: see
// sections.py and bundle.py in host/tinymia/export, which write it.
#pragma once

#include <stdint.h>

#include "answer/classifier.h"
#include "answer/declared.h"
#include "refusal.h"
#include "train/graph.h"
#include "train/references.h"

namespace tinymia {

// What training may spend: DP-SGD with at least this noise, at most this sampling rate (the batch
// over the expected members, both settings), and no more steps.
struct Budget {
  float noise_multiplier;
  float max_rate;
  uint32_t steps;
  uint32_t reserved;
};
static_assert(sizeof(Budget) == 16, "the bundle's layout");

// The only output policy of a release build, numbered as in the protocol.
struct AnswerRule {
  uint32_t policy;
  uint32_t levels;  // of rounding, or how many classes are shown; else 0
  uint32_t reserved[2];
};
static_assert(sizeof(AnswerRule) == 16, "the bundle's layout");
constexpr uint32_t kRoundedAnswers = 2;
constexpr uint32_t kLabelAnswers = 3;  // tells least; what holds where nothing is said
constexpr uint32_t kTopKAnswers = 4;

// What a release build gives of what it learned: updates clipped to at most this norm, with at
// least this noise (in clip norms), behind masks where they are asked for, and no more of them.
struct UpdateRule {
  float clip_norm;
  float noise;
  uint32_t masked;  // 0 or 1
  uint32_t updates;
};
static_assert(sizeof(UpdateRule) == 16, "the bundle's layout");

struct BundleView {
  const uint8_t* model = nullptr;  // .tflite, 16-byte aligned
  uint32_t model_size = 0;
  Graph graph;                          // count 0: nothing can be trained
  const Budget* budget = nullptr;       // nullptr: none is set
  const UpdateRule* updates = nullptr;  // nullptr: a release build gives none
  AnswerRule answers = {kLabelAnswers, 0, {0, 0}};
  GuardSettings guard;  // of a release build
  Classifiers classifiers;
  References references;
  uint32_t size = 0;
  uint32_t crc = 0;
};

// Checks everything before it is used: `data` (16-byte aligned, `room` readable bytes) is not
// trusted.
Refusal ParseBundle(const uint8_t* data, uint32_t room, BundleView* view);

}  // namespace tinymia
