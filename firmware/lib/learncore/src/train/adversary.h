// Adversarial regularisation (Nasr, Shokri and Houmansadr, CCS 2018): an example's loss has the
// term lambda * log h(p), where h is what a classifier of members makes of its probabilities p. The
// classifier is the bundle's first one (see answer/classifier.h): sigmoid(o) of its output o. It
// stays as it is, or learns before each step to tell the step's members from references.
#pragma once

#include <stdint.h>

#include "../answer/classifier.h"
#include "../arena.h"
#include "../cold.h"
#include "../fmath.h"
#include "lanes.h"
#include "settings.h"

namespace tinymia {

template <typename F>
class Adversary {
 public:
  static constexpr uint32_t kLanes = Lanes<F>::kCount;

  // `learns`: in some lane, so that there is a copy of its numbers.
  TINYMIA_COLD void Plan(const Classifier& classifier, bool learns, Arena* arena) {
    base_ = classifier;
    classes_ = classifier.classes;
    hidden_ = classifier.hidden;
    own_ = nullptr;
    if (learns || kLanes > 1) own_ = arena->AllocArray<F>(Count());
    ranks_ = arena->AllocArray<F>(classes_);
    sorted_ = arena->AllocArray<F>(classes_);
    slopes_ = arena->AllocArray<F>(classes_);
    units_ = arena->AllocArray<F>(hidden_);
  }

  void Begin(const TrainSettings* settings) {
    for (uint32_t l = 0; l < kLanes; ++l) {
      const TrainSettings& s = settings[l];
      SetLane(&weight_, l, s.adversary);
      SetLane(&rate_, l, s.adversary_rate);
      SetLane(&learns_, l, s.adversary_rate > 0);
    }
    for (uint32_t i = 0; own_ != nullptr && i < Count(); ++i) own_[i] = F(base_.values[i]);
  }

  // Adds the slope of the term with respect to p, [classes].
  void AddSlope(const F* p, F* slopes) {
    const F factor = weight_ * Doubt(Read(p));
    for (uint32_t k = 0; k < classes_; ++k) slopes[k] = slopes[k] + factor * AtRank(ranks_[k]);
  }

  // One step of what learns: up log h of a member's probabilities, or log (1 - h) of others'.
  __attribute__((noinline, cold)) void Learn(MaskOf<F> mask, const F* p, bool member) {
    const F out = Read(p);
    const F step = member ? rate_ * Doubt(out) : -(rate_ * Doubt(-out));
    mask = mask & learns_;
    F* bias = own_ + hidden_ * classes_;
    F* weights = bias + hidden_;
    for (uint32_t i = 0; i < hidden_; ++i) {
      const MaskOf<F> active = mask & (units_[i] > F(0.0f));
      if (kLanes == 1 && !Any(active)) continue;
      const F back = step * weights[i];
      weights[i] = Select(active, weights[i] + step * units_[i], weights[i]);
      bias[i] = Select(active, bias[i] + back, bias[i]);
      F* w = own_ + i * classes_;
      for (uint32_t r = 0; r < classes_; ++r) {
        w[r] = Select(active, w[r] + back * sorted_[r], w[r]);
      }
    }
    weights[hidden_] = Select(mask, weights[hidden_] + step, weights[hidden_]);
  }

 private:
  uint32_t Count() const { return hidden_ * (classes_ + 2) + 1; }

  // 1 - sigmoid(o).
  static F Doubt(F out) { return F(1.0f) / (F(1.0f) + Exp(out)); }

  // The output; leaves the probabilities' ranks, the sorted ones, the output's slopes with respect
  // to them, and what the hidden units get.
  __attribute__((noinline, cold)) F Read(const F* p) {
    Sort(p);
    if constexpr (kLanes == 1) {
      return Run(own_ == nullptr ? base_.values : own_);
    } else {
      return Run(static_cast<const F*>(own_));
    }
  }

  // Largest first; of equal ones the first comes first.
  void Sort(const F* p) {
    for (uint32_t k = 0; k < classes_; ++k) {
      ranks_[k] = F(0.0f);
      for (uint32_t j = 0; j < k; ++j) {
        const MaskOf<F> behind = p[j] >= p[k];
        ranks_[k] = Select(behind, ranks_[k] + F(1.0f), ranks_[k]);
        ranks_[j] = Select(behind, ranks_[j], ranks_[j] + F(1.0f));
      }
    }
    for (uint32_t k = 0; k < classes_; ++k) {
      if constexpr (kLanes == 1) sorted_[static_cast<uint32_t>(ranks_[k])] = p[k];
      for (uint32_t r = 0; kLanes > 1 && r < classes_; ++r) {
        sorted_[r] = Select(ranks_[k] == F(static_cast<float>(r)), p[k], sorted_[r]);
      }
    }
  }

  template <typename T>
  F Run(const T* values) {
    const T* bias = values + hidden_ * classes_;
    const T* weights = bias + hidden_;
    F out = F(weights[hidden_]);
    for (uint32_t r = 0; r < classes_; ++r) slopes_[r] = F(0.0f);
    for (uint32_t i = 0; i < hidden_; ++i) {
      const T* w = values + i * classes_;
      F sum = F(bias[i]);
      for (uint32_t r = 0; r < classes_; ++r) sum = sum + F(w[r]) * sorted_[r];
      units_[i] = sum;
      const MaskOf<F> active = sum > F(0.0f);
      if (kLanes == 1 && !Any(active)) continue;
      const F weight = F(weights[i]);
      out = Select(active, out + weight * sum, out);
      for (uint32_t r = 0; r < classes_; ++r) {
        slopes_[r] = Select(active, slopes_[r] + weight * F(w[r]), slopes_[r]);
      }
    }
    return out;
  }

  F AtRank(F rank) const {
    if constexpr (kLanes == 1) {
      return slopes_[static_cast<uint32_t>(rank)];
    } else {
      F found = F(0.0f);
      for (uint32_t r = 0; r < classes_; ++r) {
        found = Select(rank == F(static_cast<float>(r)), slopes_[r], found);
      }
      return found;
    }
  }

  Classifier base_;
  uint32_t classes_ = 0;
  uint32_t hidden_ = 0;
  F* own_ = nullptr;  // [Count()]
  F* ranks_ = nullptr;
  F* sorted_ = nullptr;
  F* slopes_ = nullptr;
  F* units_ = nullptr;  // [hidden]
  F weight_{}, rate_{};
  MaskOf<F> learns_{};
};

}  // namespace tinymia
