// Training objectives other than the cross-entropy, as what they make of its gradient with respect
// to the logits, in closed form. z are an example's logits, p its probabilities, y its class.
#pragma once

#include <stdint.h>

#include "../fmath.h"
#include "lanes.h"
#include "settings.h"

namespace tinymia {

// Whether the objective is another than the cross-entropy.
inline bool IsReshaped(const TrainSettings& s) {
  return s.confidence_penalty > 0 || s.focal_loss > 0 || s.relax_loss > 0;
}

template <typename F>
class Objective {
 public:
  void Begin(const TrainSettings* settings) {
    for (uint32_t l = 0; l < Lanes<F>::kCount; ++l) {
      const TrainSettings& s = settings[l];
      SetLane(&has_penalty_, l, s.confidence_penalty > 0);
      SetLane(&penalty_, l, s.confidence_penalty);
      SetLane(&has_focal_, l, s.focal_loss > 0);
      SetLane(&focal_, l, s.focal_loss > 0 ? s.focal_loss : 1.0f);
      SetLane(&has_relax_, l, s.relax_loss > 0);
      SetLane(&relax_, l, s.relax_loss);
    }
    ascends_ = flattens_ = has_relax_ & !has_relax_;
  }

  // The mini-batch that comes next has this mean cross-entropy.
  void StartBatch(uint32_t epoch, F mean) {
    const MaskOf<F> low = has_relax_ & (mean < relax_);
    ascends_ = flattens_ = has_relax_ & !has_relax_;
    (epoch % 2 == 0 ? ascends_ : flattens_) = low;
  }

  // Confidence penalty (Pereyra et al. 2017): the loss has the term b * sum(p log p), whose
  // gradient is b * p (z - sum(p z)). Added to p, where p - target is the cross-entropy's.
  void Penalise(const F* z, uint32_t n, F* p) const {
    F mean = F(0.0f);
    for (uint32_t k = 0; k < n; ++k) mean = mean + p[k] * z[k];
    for (uint32_t k = 0; k < n; ++k) {
      p[k] = Select(has_penalty_, p[k] + penalty_ * (p[k] * (z[k] - mean)), p[k]);
    }
  }

  // From the cross-entropy's gradient d to that of what the lane has; `loss` is the example's
  // cross-entropy. Lanes of focal loss and RelaxLoss have one label, unsmoothed.
  void Reshape(F label, F loss, uint32_t n, F* d) const {
    // Focal loss (Lin et al. 2017), (1 - p_y)^g * loss: its gradient is d times
    // (1 - p_y)^g + g p_y loss (1 - p_y)^(g - 1).
    const F own = ExpOfNegative(-loss);
    const F rest = Larger(F(1.0f) - own, F(1e-7f));
    const F less = Exp((focal_ - F(1.0f)) * Log(rest));
    F factor = Select(has_focal_, less * (rest + focal_ * own * loss), F(1.0f));
    // RelaxLoss (Chen et al. 2022, algorithm 1), gradient ascent; or posterior flattening: the
    // target is p_y for the class and evenly what is left for the others, a constant.
    factor = Select(ascends_, -factor, factor);
    F at_label = F(0.0f);
    for (uint32_t k = 0; k < n; ++k) {
      at_label = Select(label == F(static_cast<float>(k)), d[k], at_label);
    }
    const F share = at_label / F(static_cast<float>(n > 1 ? n - 1 : 1));
    for (uint32_t k = 0; k < n; ++k) {
      const F flat = Select(label == F(static_cast<float>(k)), F(0.0f), d[k] + share);
      d[k] = Select(flattens_, flat, d[k] * factor);
    }
  }

 private:
  F penalty_{}, focal_{}, relax_{};
  MaskOf<F> has_penalty_{}, has_focal_{}, has_relax_{};
  MaskOf<F> ascends_{}, flattens_{};  // of the mini-batch
};

}  // namespace tinymia
