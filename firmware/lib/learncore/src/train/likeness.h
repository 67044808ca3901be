// MMD (Li, Li and Ribeiro, CODASPY 2021): a mini-batch's loss has, for each class, the squared
// distance between the mean probabilities of its examples and those of references. Their kernel is
// Gaussian; here it is the linear one, for which the distance is that of the means. The references'
// means are those at the start of the epoch and count as constants.
#pragma once

#include <stdint.h>

#include "../arena.h"
#include "../cold.h"
#include "lanes.h"
#include "settings.h"

namespace tinymia {

template <typename F>
class Likeness {
 public:
  static constexpr uint32_t kLanes = Lanes<F>::kCount;

  TINYMIA_COLD void Plan(uint32_t classes, Arena* arena) {
    classes_ = classes;
    wanted_.Plan(classes, arena);
    here_.Plan(classes, arena);
  }

  void Begin(const TrainSettings* settings) {
    for (uint32_t l = 0; l < kLanes; ++l) SetLane(&weight_, l, 2.0f * settings[l].mmd);
  }

  void StartEpoch() { wanted_.Clear(classes_); }
  void AddReference(MaskOf<F> mask, uint32_t label, const F* p) {
    wanted_.Add(mask, label, classes_, p);
  }

  void StartBatch() { here_.Clear(classes_); }
  void AddExample(MaskOf<F> mask, F label, const F* p) {
    if constexpr (kLanes == 1) {
      here_.Add(mask, static_cast<uint32_t>(label), classes_, p);
    } else {
      for (uint32_t c = 0; c < classes_; ++c) {
        here_.Add(mask & (label == F(static_cast<float>(c))), c, classes_, p);
      }
    }
  }

  // Adds the slope with respect to the probabilities of an example of that class. (The mean over n
  // examples has a share of 1 / n of each, and n of them have it.)
  void AddSlope(F label, F* slopes) const {
    if constexpr (kLanes == 1) {
      AddSlopeOf(static_cast<uint32_t>(label), true, slopes);
    } else {
      for (uint32_t c = 0; c < classes_; ++c) {
        AddSlopeOf(c, label == F(static_cast<float>(c)), slopes);
      }
    }
  }

 private:
  struct Means {
    F* sums;    // [classes][classes]
    F* counts;  // [classes]

    TINYMIA_COLD void Plan(uint32_t n, Arena* arena) {
      sums = arena->AllocArray<F>(n * n);
      counts = arena->AllocArray<F>(n);
    }
    void Clear(uint32_t n) {
      for (uint32_t i = 0; i < n * n; ++i) sums[i] = F(0.0f);
      for (uint32_t c = 0; c < n; ++c) counts[c] = F(0.0f);
    }
    __attribute__((noinline, cold)) void Add(MaskOf<F> mask, uint32_t c, uint32_t n, const F* p) {
      F* to = sums + c * n;
      for (uint32_t k = 0; k < n; ++k) to[k] = Select(mask, to[k] + p[k], to[k]);
      counts[c] = Select(mask, counts[c] + F(1.0f), counts[c]);
    }
  };

  __attribute__((noinline, cold)) void AddSlopeOf(uint32_t c, MaskOf<F> mask, F* slopes) const {
    const F some = here_.counts[c], others = wanted_.counts[c];
    // A class without references has nothing to be like.
    mask = mask & (others > F(0.0f)) & (some > F(0.0f));
    const F* p = here_.sums + c * classes_;
    const F* q = wanted_.sums + c * classes_;
    for (uint32_t k = 0; k < classes_; ++k) {
      const F more = slopes[k] + weight_ * (p[k] / some - q[k] / others);
      slopes[k] = Select(mask, more, slopes[k]);
    }
  }

  uint32_t classes_ = 0;
  Means wanted_{}, here_{};
  F weight_{};
};

}  // namespace tinymia
