// Bodies of trainer.h, continued: one step. Its examples, what each of them asks of the parameters,
// bounded, and the noise of private training.
#pragma once

#include "../fmath.h"
#include "dropout.h"
#include "rows.h"
#include "trainer.h"

namespace tinymia {

template <typename F>
void Trainer<F>::RunStep(uint32_t step, TrainResult* results) {
  uint32_t most = 0;
  uint32_t fewest = 0xFFFFFFFFu;
  MaskOf<F> updates{};
  F count{};
  bool all_update = true;
  // (Words for lanes alone: one device draws its own.)
  const bool sampled = kLanes > 1 && sampling_ != nullptr;
  if (sampled) DrawSampling(step);
  for (uint32_t l = 0; l < kLanes; ++l) {
    Lane& lane = lanes_[l];
    const bool takes_part = step < lane.steps;
    if (takes_part && sampled && lane.settings->is_private()) {
      const void* words = sampling_;
      lane.in_step = lane.batches.StartDrawn(step, static_cast<const uint32_t*>(words) + l, kLanes);
    } else {
      lane.in_step = takes_part ? lane.batches.StartStep(step) : 0;
    }
    most = lane.in_step > most ? lane.in_step : most;
    fewest = lane.in_step < fewest ? lane.in_step : fewest;
    results[l].steps += lane.in_step;
    const TrainSettings& s = *lane.settings;
    const bool is_direct = any_direct_ && s.batch == 1 && IsPlain(s) && !s.is_private();
    SetLane(&updates, l, takes_part && !is_direct);
    all_update = all_update && takes_part && !is_direct;
    // DP-SGD divides by the batch that is expected (Abadi et al., CCS 2016, algorithm 1).
    SetLane(&count, l, static_cast<float>(s.is_private() || !takes_part ? s.batch : lane.in_step));
  }
  if (needs_.preparation) {
    F* sum = net_.gradient();
    for (uint32_t i = 0; needs_.privacy && i < net_.parameter_count(); ++i) {
      sum[i] = Select(updates & is_private_, F(0.0f), sum[i]);
    }
    if (needs_.batch_loss) LookAhead(most);
  }
  uint32_t i = 0;
  bool updated = false;
  if constexpr (kLanes > 1) {
    const uint32_t together = any_direct_ ? 0 : net_.together();
    updated =
        most <= together && fewest == most && all_update && !needs_.privacy && update_.plain_only();
    const F rate = rate_ / count;
    while (together != 0 && i < most) {
      const uint32_t n = most - i < together ? most - i : together;
      LearnTogether(i, n, i + n <= fewest, updated ? &rate : nullptr);
      i += n;
    }
  }
  for (; i < most; ++i) {
    LoadExamples(i);
    if constexpr (kLanes > 1) {
      MaskOf<F> mask{};
      bool all = true;
      for (uint32_t l = 0; l < kLanes; ++l) {
        SetLane(&mask, l, i < lanes_[l].in_step);
        all = all && i < lanes_[l].in_step;
      }
      if (!all) {
        Learn(mask, i == 0);
        continue;
      }
    }
    Learn(Always(), i == 0);
  }
  net_.Pass();
  if (all_direct_) return;
  if (needs_.privacy) {
    AddNoise(step);
    if (needs_.shape) net_.Unshape(updates & is_shaped_);  // (which needs noise)
  }
  for (uint32_t l = 0; l < kLanes; ++l) lanes_[l].updates += step < lanes_[l].steps ? 1 : 0;
  if constexpr (kLanes > 1) {
    if (updated) return;
    if (!all_update) {
      update_.Apply(updates, rate_, count, &net_);
      return;
    }
  }
  update_.Apply(Always(), rate_, count, &net_);
}

template <typename F>
template <bool kTaught>
void Trainer<F>::LoadInput(const Example* examples, bool partners, F* to) {
  const Interpreter::TensorInfo& info = store_->cut().info;
  const uint32_t n = net_.inputs();
  if (!store_->raw() && !needs_.augmentation) {
    for (uint32_t l = 0; l < kLanes; ++l) {
      rows_[l] = RowOf<kTaught>(l, partners ? examples[l].partner : examples[l].slot);
    }
    LoadRows(rows_, n, info.scale, info.zero_point, to);
    return;
  }
  // Computed rows stay until the next one only.
  for (uint32_t l = 0; l < kLanes; ++l) {
    const TrainSettings& s = *lanes_[l].settings;
    const Example& e = examples[l];
    const int8_t* row;
    if (!partners && s.augments()) {
      row = store_->Augmented(s, e.slot, epoch_, e.position);
    } else {
      row = RowOf<kTaught>(l, partners ? e.partner : e.slot);
    }
    LoadLane(row, n, info.scale, info.zero_point, l, to);
  }
}

template <typename F>
template <bool kTaught>
void Trainer<F>::LoadExamplesOf(uint32_t i) {
  Example examples[kLanes];
  DropoutDraw draws[kLanes];
  const bool dropout = needs_.dropout;
  for (uint32_t l = 0; l < kLanes; ++l) {
    const Lane& lane = lanes_[l];
    // A lane without an example goes over the first window; nothing comes of it.
    examples[l] = i < lane.in_step ? lane.batches.Get(i) : Example{0, 0, 1.0f, 0};
    const bool labelled = !kTaught || lane.rows == nullptr;
    SetLane(&targets_.label, l,
            labelled ? static_cast<float>(store_->label(examples[l].slot)) : 0.0f);
    if (dropout) {
      draws[l] = {lane.settings->seed, lane.settings->dropout, examples[l].position};
    }
  }
  if (dropout) DrawDropout(draws, epoch_, net_.dropout_size(), net_.dropout());
  LoadInput<kTaught>(examples, false, net_.input());
  if constexpr (kTaught) LoadSoft(examples);
  if (!needs_.mixup) return;
  for (uint32_t l = 0; l < kLanes; ++l) {
    SetLane(&targets_.partner, l, static_cast<float>(store_->label(examples[l].partner)));
    SetLane(&targets_.mix, l, examples[l].mix);
  }
  LoadInput<kTaught>(examples, true, mixed_);
  F* x = net_.input();
  const F mix = targets_.mix;
  const F rest = F(1.0f) - mix;
  for (uint32_t j = 0; j < net_.inputs(); ++j) x[j] = mix * x[j] + rest * mixed_[j];
}

template <typename F>
template <typename M>
void Trainer<F>::Learn(M mask, bool first) {
  const bool dropout = needs_.dropout;
  Judge(mask, net_.Forward(dropout));
  // (What is shaped is private.)
  if (needs_.preparation && needs_.shape) net_.Shape(is_shaped_, dropout);
  Bound(mask, net_.Backward(needs_.clipping, dropout));
  if (all_direct_) {
    net_.Accumulate(net_.parameters(), Descend<F, M>{mask});
    return;
  }
  if constexpr (kLanes > 1) {
    if (any_direct_) {
      net_.Accumulate(net_.parameters(), Descend<F, MaskOf<F>>{Both(direct_, mask)});
    }
  }
  if (needs_.privacy) {
    net_.Accumulate(net_.gradient(), AddPrivate<F, M>{mask, is_private_, to_units_, first});
  } else if (first) {
    net_.Accumulate(net_.gradient(), SetGradient<F, M>{mask});
  } else {
    net_.Accumulate(net_.gradient(), AddGradient<F, M>{mask});
  }
}

template <typename F>
template <typename M>
void Trainer<F>::Bound(M mask, F norm2, F* scale) {
  F factor = F(1.0f);
  MaskOf<F> broken{};
  if (needs_.clipping) {
    const F norm = Sqrt(norm2);
    const MaskOf<F> over = has_clip_ & (norm > clip_);
    factor = Select(over, clip_ / norm, F(1.0f));
    // An example whose gradient is no number would break the bound: it counts for nothing.
    broken = has_clip_ & !(norm2 < F(3e38f));
    clipped_ = Select(mask, Select(over, clipped_ + IntOf<F>(1), clipped_), clipped_);
  }
  if (any_direct_) {
    factor = kLanes == 1 ? factor * rate_ : Select(direct_, factor * rate_, factor);
  }
  if constexpr (kLanes > 1) {
    if (scale != nullptr) {
      *scale = net_.ScaleSomeDeltas(factor, broken);
      return;
    }
  }
  if (needs_.clipping || any_direct_) net_.ScaleDeltas(factor, broken);
}

template <typename F>
void Trainer<F>::DrawSampling(uint32_t step) {
  UintOf<F> streams{};
  uint32_t most = 0;
  for (uint32_t l = 0; l < kLanes; ++l) {
    const Lane& lane = lanes_[l];
    const TrainSettings& s = *lane.settings;
    SetLane(&streams, l, lane.batches.StreamOf(step));
    const bool draws = s.is_private() && step < lane.steps && s.batch < s.expected_members;
    if (draws && lane.batches.members() > most) most = lane.batches.members();
  }
  secret_.Start(SecretUse::kPoisson, streams);
  for (uint32_t i = 0; i < most; i += 16) secret_.Next(sampling_ + i);
}

template <typename F>
void Trainer<F>::SetUnits(uint32_t l, const TrainSettings& s) {
  float to = 0.0f, from = 0.0f;
  int32_t shift = 0;
  if (s.is_private()) {
    const NoiseUnits units = UnitsOfNoise(s.noise_multiplier, net_.parameter_count());
    shift = units.shift;
    to = units.clip / s.clip_norm;
    from =
        units.clip > 0 ? s.clip_norm / units.clip : s.clip_norm * s.noise_multiplier / units.sigma;
  }
  SetLane(&to_units_, l, to);
  SetLane(&from_units_, l, from);
  SetLane(&noise_shift_, l, shift);
  SetLane(&noise_half_, l, (1 << shift) / 2);
}

template <typename F>
void Trainer<F>::AddNoise(uint32_t step) {
  MaskOf<F> mask{};
  UintOf<F> update{};
  for (uint32_t l = 0; l < kLanes; ++l) {
    const Lane& lane = lanes_[l];
    SetLane(&mask, l, lane.settings->is_private() && step < lane.steps);
    SetLane(&update, l, lane.updates);
  }
  secret_.Start(SecretUse::kNoise, update);
  F* gradient = net_.gradient();
  const IntOf<F> half = noise_half_, shift = noise_shift_;
  const F unit = from_units_;
  for (uint32_t left = net_.parameter_count(); left != 0;) {
    UintOf<F> words[16];
    secret_.Next(words);
    const uint32_t n = left < 8 ? left : 8;
    for (uint32_t i = 0; i < n; ++i) {
      const IntOf<F> noise = (Gaussian<F>(words[2 * i], words[2 * i + 1]) + half) >> shift;
      gradient[i] = Select(mask, ToFloat(BitsToInt(gradient[i]) + noise) * unit, gradient[i]);
    }
    gradient += n;
    left -= n;
  }
}

}  // namespace tinymia
