// Bodies of trainer.h, continued: from logits to the loss and its gradient.
#pragma once

#include "../fmath.h"
#include "pair.h"
#include "rows.h"
#include "trainer.h"

namespace tinymia {

template <typename F>
inline F Trainer<F>::Exponentials(const F* logits, F* to, F* top) const {
  const uint32_t n = net_.classes();
  F most = logits[0];
  for (uint32_t k = 1; k < n; ++k) most = Larger(logits[k], most);
  F sum = F(0.0f);
  ForTiles<kLanes == 1 ? 1 : 4>(n, [&](auto block, uint32_t k) {
    const auto shifted = Neighbours(block, logits + k);
    Store(ExpOfNegative(shifted - decltype(shifted)(most)), to + k);
    for (uint32_t j = 0; j < decltype(block)::kSize; ++j) sum = sum + to[k + j];
  });
  *top = most;
  return sum;
}

template <typename F>
inline void Trainer<F>::Divide(F* values, F sum) const {
  const uint32_t n = net_.classes();
#pragma GCC unroll 4
  for (uint32_t k = 0; k < n; ++k) values[k] = values[k] / sum;
}

template <typename F>
F Trainer<F>::Softmax(const F* logits, F* to) const {
  F top;
  const F sum = Exponentials(logits, to, &top);
  Divide(to, sum);
  return Log(sum) + top;
}

template <typename F>
inline float Trainer<F>::SubtractOne(const float* logits, float* delta) const {
  const uint32_t label = static_cast<uint32_t>(targets_.label);
  const float at_label = delta[label] - (on_ + off_);
  const uint32_t n = net_.classes();
  const float off = off_;
#pragma GCC unroll 4
  for (uint32_t k = 0; k < n; ++k) delta[k] = delta[k] - off;
  delta[label] = at_label;
  return logits[label];
}

template <typename F>
F Trainer<F>::Subtract(const F* logits, F* delta) const {
  if constexpr (kLanes == 1) {
    if (!needs_.mixup && !needs_.teaching) return SubtractOne(logits, delta);
  }
  const Targets& t = targets_;
  const F here = on_ + off_;
  F at_label = F(0.0f);
  F at_partner = F(0.0f);
  F at_soft = F(0.0f);
  for (uint32_t k = 0; k < net_.classes(); ++k) {
    const MaskOf<F> is_label = t.label == F(static_cast<float>(k));
    at_label = Select(is_label, logits[k], at_label);
    F target = Select(is_label, here, off_);
    if (needs_.mixup) {
      const MaskOf<F> is_partner = t.partner == F(static_cast<float>(k));
      at_partner = Select(is_partner, logits[k], at_partner);
      const F share =
          Select(is_label, t.mix, F(0.0f)) + Select(is_partner, F(1.0f) - t.mix, F(0.0f));
      target = share * on_ + off_;
    }
    if (needs_.teaching) {
      target = Select(is_student_, t.soft[k], target);
      at_soft = at_soft + t.soft[k] * logits[k];
    }
    delta[k] = delta[k] - target;
  }
  if (needs_.mixup) {
    const F both = t.mix * at_label + (F(1.0f) - t.mix) * at_partner;
    at_label = Select(t.mix < F(1.0f), both, at_label);
  }
  return needs_.teaching ? Select(is_student_, at_soft, at_label) : at_label;
}

template <typename F>
F Trainer<F>::OwnLogit(const F* logits) const {
  F own = F(0.0f);
  for (uint32_t k = 0; k < net_.classes(); ++k) {
    own = Select(targets_.label == F(static_cast<float>(k)), logits[k], own);
  }
  return own;
}

template <typename F>
F Trainer<F>::ClassOfExample() const {
  if (!needs_.mixup) return targets_.label;
  return Select(targets_.mix < F(0.5f), targets_.partner, targets_.label);
}

template <typename F>
void Trainer<F>::FindSlopes(const F* p) {
  const uint32_t n = net_.classes();
  for (uint32_t k = 0; k < n; ++k) slopes_[k] = F(0.0f);
  if (needs_.adversary) adversary_.AddSlope(p, slopes_);
  if (needs_.likeness) likeness_.AddSlope(ClassOfExample(), slopes_);
  F mean = F(0.0f);
  for (uint32_t k = 0; k < n; ++k) mean = mean + p[k] * slopes_[k];
  for (uint32_t k = 0; k < n; ++k) slopes_[k] = p[k] * (slopes_[k] - mean);
}

template <typename F>
F Trainer<F>::Shape(const F* logits, F log_total, F* delta) {
  if (!needs_.objective) return Subtract(logits, delta);
  const uint32_t n = net_.classes();
  if (needs_.slopes) FindSlopes(delta);
  if (needs_.reshaped) objective_.Penalise(logits, n, delta);
  const F own = Subtract(logits, delta);
  if (needs_.reshaped) objective_.Reshape(targets_.label, log_total - own, n, delta);
  for (uint32_t k = 0; needs_.slopes && k < n; ++k) {
    delta[k] = Select(has_slopes_, delta[k] + slopes_[k], delta[k]);
  }
  return own;
}

template <typename F>
void Trainer<F>::MeetReferences() {
  likeness_.StartEpoch();
  for (uint32_t i = 0; i < needs_.references; ++i) {
    LoadAlike(references_.rows + i * net_.inputs());
    Softmax(net_.Forward(), net_.delta());
    MaskOf<F> mask{};
    for (uint32_t l = 0; l < kLanes; ++l) SetLane(&mask, l, i < lanes_[l].settings->references);
    likeness_.AddReference(mask, references_.labels[i], net_.delta());
    net_.Pass();
  }
}

template <typename F>
void Trainer<F>::Rival(MaskOf<F> mask, uint32_t i) {
  adversary_.Learn(mask, net_.delta(), true);
  for (uint32_t l = 0; l < kLanes; ++l) {
    const Lane& lane = lanes_[l];
    const bool has = i < lane.in_step && lane.settings->adversary_rate > 0;
    const uint32_t number = has ? lane.batches.Seen(i) % lane.settings->references : 0;
    rows_[l] = references_.rows + number * net_.inputs();
  }
  const Interpreter::TensorInfo& info = store_->cut().info;
  LoadRows(rows_, net_.inputs(), info.scale, info.zero_point, net_.input());
  Softmax(net_.Forward(), net_.delta());
  adversary_.Learn(mask, net_.delta(), false);
}

template <typename F>
void Trainer<F>::LookAhead(uint32_t most) {
  F total = F(0.0f);
  F count = F(0.0f);
  if (needs_.likeness) likeness_.StartBatch();
  for (uint32_t i = 0; i < most; ++i) {
    LoadExamples(i);
    const F* logits = net_.Forward(needs_.dropout);
    const F loss = Softmax(logits, net_.delta()) - OwnLogit(logits);
    MaskOf<F> mask{};
    for (uint32_t l = 0; l < kLanes; ++l) SetLane(&mask, l, i < lanes_[l].in_step);
    total = Select(mask, total + loss, total);
    count = Select(mask, count + F(1.0f), count);
    if (needs_.likeness) likeness_.AddExample(mask, ClassOfExample(), net_.delta());
    if (needs_.rivalry) Rival(mask, i);
    net_.Pass();
  }
  objective_.StartBatch(epoch_, total / count);
}

template <typename F>
template <typename M>
void Trainer<F>::Judge(M mask, const F* logits) {
  F* delta = net_.delta();
  const F log_total = Softmax(logits, delta);
  F own;
  if constexpr (kLanes == 1) {
    own = needs_.bent ? Shape(logits, log_total, delta) : SubtractOne(logits, delta);
  } else {
    own = needs_.objective ? Shape(logits, log_total, delta) : Subtract(logits, delta);
  }
  const F loss = log_total - own;
  loss_ = Select(mask, loss_ + loss, loss_);
}

}  // namespace tinymia
