// The update at the end of a batch: SGD, heavy-ball momentum or Adam (Kingma and Ba, ICLR 2015,
// algorithm 1), with L2 and a pull to where training started: the base network (L2-SP, Li et al.,
// ICML 2018), or a shared tail (FedProx, Li et al., MLSys 2020).
#pragma once

#include <stdint.h>

#include "../fmath.h"
#include "net.h"
#include "settings.h"

namespace tinymia {

// Whether all there is to do is w -= (rate / count) * gradient.
inline bool IsPlain(const TrainSettings& s) {
  return s.optimizer == Optimizer::kSgd && !(s.l2 > 0 || s.base_pull > 0 || s.prune > 0);
}

template <typename F>
class Update {
 public:
  void Begin(const TrainSettings* settings) {
    plain_only_ = true;
    pulls_ = {};
    prunes_ = {};
    for (uint32_t l = 0; l < Lanes<F>::kCount; ++l) {
      const TrainSettings& s = settings[l];
      SetLane(&plain_, l, IsPlain(s));
      SetLane(&adam_, l, s.optimizer == Optimizer::kAdam);
      SetLane(&bare_, l, s.optimizer == Optimizer::kSgd);
      SetLane(&has_l2_, l, s.l2 > 0);
      SetLane(&decay_, l, s.optimizer == Optimizer::kSgd ? 0.0f : s.momentum);
      SetLane(&decay2_, l, s.beta2);
      SetLane(&l2_, l, s.l2);
      SetLane(&has_pull_, l, s.base_pull > 0);
      SetLane(&pull_, l, s.base_pull);
      pulls_.Raise(s.base_pull > 0);
      prunes_.Raise(s.prune > 0);
      plain_only_ = plain_only_ && IsPlain(s);
    }
    power_ = F(1.0f);
    power2_ = F(1.0f);
    pruned_ = has_pull_ & !has_pull_;
  }
  void Restart(MaskOf<F> mask) {
    power_ = Select(mask, F(1.0f), power_);
    power2_ = Select(mask, F(1.0f), power2_);
  }

  // Lanes whose weights have been pruned: those that are 0 stay there.
  void KeepPruned(MaskOf<F> pruned) { pruned_ = pruned; }

  // Whether parameters[i] -= (rate / count) * gradient[i] is all that Apply does.
  bool plain_only() const { return plain_only_; }
  // Lanes in `mask` take one step of `rate` along the mean of what net's gradient sums up over
  // `count` examples.
  template <typename M>
  void Apply(M mask, F rate, F count, Net<F>* net) {
    if (plain_only_) {
      Plain(mask, rate / count, net);
    } else {
      if (pulls_) Pull(count, net);
      if (prunes_) HoldPruned(net);
      General(mask, rate, count, net);
    }
  }

 private:
  template <typename M>
  static void Plain(M mask, F step, Net<F>* net) {
    F* w = net->parameters();
    const F* g = net->gradient();
    ForBlocks(net->parameter_count(), [=](auto block, uint32_t i) {
      constexpr uint32_t kSize = decltype(block)::kSize;
      F old[kSize];
      F gradient[kSize];
      HoldBlock(block, g + i, gradient);
      LoadBlock(block, w + i, old);
#pragma GCC unroll 8
      for (uint32_t j = 0; j < kSize; ++j) {
        old[j] = Select(mask, old[j] - step * gradient[j], old[j]);
      }
      StoreBlock(block, old, w + i);
    });
  }

  // To the sum of gradients: `count` times the pull to where training started.
  void Pull(F count, Net<F>* net) const {
    const F strength = pull_ * count;
    const F* w = net->parameters();
    F* gradient = net->gradient();
    const F* start = net->start();
    net->ForEachRun([=](uint32_t first, uint32_t n, bool, const float* base) {
      for (uint32_t i = 0; i < n; ++i) {
        const F sum = gradient[first + i];
        const F away = w[first + i] - (start == nullptr ? F(base[i]) : start[first + i]);
        gradient[first + i] = Select(has_pull_, sum + strength * away, sum);
      }
    });
  }

  // Nothing moves a weight that was pruned.
  void HoldPruned(Net<F>* net) const {
    const F* w = net->parameters();
    F* gradient = net->gradient();
    F* v = All(bare_) ? gradient : net->moment(0);
    net->ForEachRun([=](uint32_t first, uint32_t n, bool weights, const float*) {
      for (uint32_t i = first; weights && i < first + n; ++i) {
        const MaskOf<F> held = pruned_ & (w[i] == F(0.0f));
        gradient[i] = Select(held, F(0.0f), gradient[i]);
        v[i] = Select(held, F(0.0f), v[i]);
      }
    });
  }

  template <typename M>
  void General(M mask, F rate, F count, Net<F>* net) {
    const F step = rate / count;
    const F share = F(1.0f) / count;
    power_ = Select(mask, power_ * decay_, power_);
    power2_ = Select(mask, power2_ * decay2_, power2_);
    const F correct = F(1.0f) / (F(1.0f) - power_);
    const F correct2 = F(1.0f) / (F(1.0f) - power2_);
    const bool any_adam = Any(adam_);
    const bool moments = !All(bare_);
    F* w = net->parameters();
    const F* gradient = net->gradient();
    F* v = moments ? net->moment(0) : nullptr;
    F* v2 = any_adam ? net->moment(1) : nullptr;
    net->ForEachRun([&](uint32_t first, uint32_t n, bool weights, const float*) {
      const MaskOf<F> decays = weights ? has_l2_ : has_l2_ & !has_l2_;
      for (uint32_t i = first; i < first + n; ++i) {
        const F old = w[i];
        const F g = gradient[i] * share;
        const F mean = Select(decays, g + l2_ * old, g);
        F direction = mean;
        if (moments) {
          // Plain lanes' moments are written but never read.
          const F heavy = decay_ * v[i] + mean;
          const F first_moment = decay_ * v[i] + (F(1.0f) - decay_) * mean;
          const F now = Select(adam_, first_moment, heavy);
          v[i] = Select(mask, now, v[i]);
          direction = Select(bare_, mean, now);
          if (any_adam) {
            const F second = decay2_ * v2[i] + (F(1.0f) - decay2_) * (mean * mean);
            v2[i] = Select(mask, second, v2[i]);
            const F scaled = (now * correct) / (Sqrt(second * correct2) + F(1e-7f));
            direction = Select(adam_, scaled, direction);
          }
        }
        const F moved = Select(plain_, old - step * gradient[i], old - rate * direction);
        w[i] = Select(mask, moved, old);
      }
    });
  }

  bool plain_only_ = true;
  Need<kHasBasePull> pulls_;  // any lane
  Need<kHasPrune> prunes_;
  MaskOf<F> plain_{}, adam_{}, bare_{}, has_l2_{}, has_pull_{},
      pruned_{};  // bare: without a moment
  F decay_{}, decay2_{}, l2_{}, pull_{};
  F power_{}, power2_{};
};

}  // namespace tinymia
