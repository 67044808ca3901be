// Bodies of trainer.h, continued: what only vectors do.
#pragma once

#include "../crc32.h"
#include "../fmath.h"
#include "pair.h"
#include "rows.h"
#include "trainer.h"

namespace tinymia {

template <typename F>
void Trainer<F>::LoadTogether(uint32_t i, uint32_t n) {
  if (store_->raw() || needs_.augmentation || needs_.mixup || needs_.dropout || needs_.teaching) {
    for (uint32_t b = 0; b < n; ++b) {
      net_.Turn(b);
      LoadExamples(i + b);
      held_[b] = targets_;
      if (!needs_.dropout) continue;
      F* x = net_.input();
      for (uint32_t j = 0; j < net_.inputs(); ++j) x[j] = x[j] * net_.dropout()[j];
    }
    return;
  }
  const Interpreter::TensorInfo& info = store_->cut().info;
  const uint16_t* slots[kLanes];
  uint32_t left[kLanes];
  for (uint32_t l = 0; l < kLanes; ++l) {
    slots[l] = lanes_[l].batches.InStep() + i;
    left[l] = lanes_[l].in_step < i ? 0 : lanes_[l].in_step - i;
  }
  float labels[kMostTogether][kLanes];
  for (uint32_t b = 0; b < n; ++b) {
    for (uint32_t l = 0; l < kLanes; ++l) {
      // (As LoadExamples.)
      const uint32_t slot = b < left[l] ? slots[l][b] : 0;
      rows_[l] = store_->Kept(slot);
      labels[b][l] = static_cast<float>(store_->label(slot));
    }
    net_.Turn(b);
    LoadRows(rows_, net_.inputs(), info.scale, info.zero_point, net_.input());
  }
  for (uint32_t b = 0; b < n; ++b) {
    held_[b] = targets_;
    held_[b].label = FromLanes<F>(labels[b]);
  }
}

template <typename F>
template <typename Sums>
void Trainer<F>::SumTogether(uint32_t n, const MaskOf<F>* masks, const F* scales,
                             const Sums& sums) {
  if (masks == nullptr) {
    net_.AccumulateTogether(n, sums, scales);
  } else {
    net_.AccumulateTogether(n, MaskedSums<F, Sums>{sums, masks}, scales);
  }
}

// `all`: whether every lane has all of these examples.
template <typename F>
void Trainer<F>::LearnTogether(uint32_t i, uint32_t n, bool all, const F* step) {
  if constexpr (kLanes > 1) {
    LoadTogether(i, n);
    MaskOf<F> masks[kMostTogether];
    for (uint32_t b = 0; !all && b < n; ++b) {
      for (uint32_t l = 0; l < kLanes; ++l) SetLane(&masks[b], l, i + b < lanes_[l].in_step);
    }
    net_.ForwardTogether(n);
    // As Judge, but in parts: the long chains of one example's loss do not hold up the next one.
    F tops[kMostTogether], sums[kMostTogether], own[kMostTogether];
    for (uint32_t b = 0; b < n; ++b) {
      net_.Turn(b);
      sums[b] = Exponentials(net_.logits(), net_.delta(), &tops[b]);
    }
    for (uint32_t b = 0; b < n; ++b) {
      net_.Turn(b);
      targets_ = held_[b];
      Divide(net_.delta(), sums[b]);
      own[b] = needs_.objective ? Shape(net_.logits(), Log(sums[b]) + tops[b], net_.delta())
                                : Subtract(net_.logits(), net_.delta());
    }
    ForTiles<4>(n, [&](auto block, uint32_t b) {
      F logs[decltype(block)::kSize];
      Store(Log(Neighbours(block, sums + b)), logs);
      for (const F log : logs) {
        const F loss = loss_ + (log + tops[b] - own[b]);
        loss_ = all ? loss : Select(masks[b], loss, loss_);
        ++b;
      }
    });
    for (uint32_t b = 0; needs_.shape && b < n; ++b) {
      net_.Turn(b);
      net_.Shape(is_shaped_, false);
    }
    F norms[kMostTogether], factors[kMostTogether];
    net_.BackwardTogether(n, needs_.clipping ? norms : nullptr);
    if (needs_.clipping) {
      for (uint32_t b = 0; b < n; ++b) {
        net_.Turn(b);
        if (all) {
          Bound(Always(), norms[b], &factors[b]);
        } else {
          Bound(masks[b], norms[b], &factors[b]);
        }
      }
    }
    const MaskOf<F>* const some = all ? nullptr : masks;
    const F* const scales = needs_.clipping ? factors : nullptr;
    if (step != nullptr) {
      net_.AccumulateTogether(n, DescendSums<F>{*step, net_.parameters()}, scales);
    } else if (needs_.privacy) {
      SumTogether(n, some, scales,
                  AddPrivateSums<F>{net_.gradient(), is_private_, to_units_, i == 0});
    } else if (i == 0) {
      SumTogether(n, some, scales, SetSums<F>{net_.gradient()});
    } else {
      SumTogether(n, some, scales, AddSums<F>{net_.gradient()});
    }
  }
}

template <typename F>
const F* Trainer<F>::AnswerTogether(const int8_t* features, uint32_t n) {
  if (net_.together() == 0) {
    Answer(features, net_.delta());
    return net_.delta();
  }
  for (uint32_t b = 0; b < n; ++b, features += net_.inputs()) {
    net_.Turn(b);
    LoadAlike(features);
  }
  net_.ForwardTogether(n);
  for (uint32_t b = 0; b < n; ++b) {
    net_.Turn(b);
    Softmax(net_.logits(), net_.delta());
  }
  net_.Turn(0);
  return net_.delta();
}

// (Lane by lane each product would wait for the one before.)
template <typename F>
void Trainer<F>::Hashes(uint64_t* hashes) const {
  Fnv1a lanes[kLanes];
  for (uint32_t i = 0; i < net_.parameter_count(); ++i) {
    const F all = Canonical(net_.parameters()[i]);
    for (uint32_t l = 0; l < kLanes; ++l) {
      const float value = GetLane(all, l);
      lanes[l].Add(&value, sizeof value);
    }
  }
  for (uint32_t l = 0; l < kLanes; ++l) hashes[l] = lanes[l].value();
}

}  // namespace tinymia
