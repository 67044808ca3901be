// Bodies of trainer.h.
#pragma once

#include "../crc32.h"
#include "../fmath.h"
#include "compress.h"
#include "dropout.h"
#include "rows.h"
#include "trainer.h"

namespace tinymia {

inline void Needs::Add(const TrainSettings& s) {
  gradient = gradient || s.batch != 1 || !IsPlain(s) || s.is_private();
  const uint32_t kept = s.optimizer == Optimizer::kAdam ? 2 : s.optimizer == Optimizer::kMomentum;
  moments = kept > moments ? kept : moments;
  best = best || s.patience > 0;
  dropout = dropout || s.dropout > 0;
  mixup = mixup || s.mixup > 0;
  clipping = clipping || s.clip_norm > 0;
  privacy = privacy || s.is_private();
  augmentation = augmentation || s.augments();
  heads = s.heads > heads ? s.heads : heads;
  teaching = teaching || s.teacher_epochs > 0;
  own = own || (s.teacher_epochs > 0 && s.references == 0);
  references = s.references > references ? s.references : references;
  objective = objective || IsReshaped(s);
  bent = bent || s.mixup > 0 || s.teacher_epochs > 0 || IsReshaped(s);
  batch_loss = batch_loss || s.relax_loss > 0;
  preparation = batch_loss || privacy;
  compression = compression || s.weight_bits > 0 || s.prune > 0;
  shape = shape || s.shaped > 0;
  pull = pull || s.base_pull > 0;
}

template <typename F>
bool Trainer<F>::Plan(const Graph& graph, uint32_t first, const TrainSettings* settings,
                      uint32_t count, ExampleStore* store, uint32_t slots, Arena* arena) {
  store_ = store;
  slots_ = slots;
  needs_ = Needs();
  for (uint32_t i = 0; i < count; ++i) needs_.Add(settings[i]);
  needs_.shape = needs_.shape && graph.CanShape(first, settings[0].trained);
  lanes_ = arena->AllocPointers<Lane, 144>(kLanes);
  rows_ = arena->AllocPointers<const int8_t*, 8>(kLanes);
  order_room_ = slots > needs_.references ? slots : needs_.references;
  order_ = arena->AllocArray<uint16_t>(kLanes * order_room_);
  unshuffled_ = kLanes == 1 ? nullptr : arena->AllocArray<uint16_t>(kLanes * slots);
  net_.Plan(graph, first, settings[0].trained, needs_, arena);
  // (Blocks are of 16 words.)
  sampling_ = kLanes > 1 && needs_.privacy ? arena->AllocArray<UintOf<F>>(slots + 15) : nullptr;
  held_ = net_.together() == 0 ? nullptr : arena->AllocArray<Targets>(net_.together());
  mixed_ = needs_.mixup ? arena->AllocArray<F>(net_.inputs()) : nullptr;
  PlanPhases(arena);
  if (arena->used() > arena->size()) return false;
  for (uint32_t l = 0; l < kLanes; ++l) {
    lanes_[l] = Lane();
    rows_[l] = nullptr;
  }
  epoch_ = 0;
  net_.Reset();
  return true;
}

template <typename F>
void Trainer<F>::Begin(const TrainSettings* settings, const SecretKey* keys,
                       const uint8_t* const* members) {
  epoch_ = 0;
  any_direct_ = false;
  all_direct_ = true;
  for (uint32_t l = 0; l < kLanes; ++l) {
    const TrainSettings& s = settings[l];
    Lane& lane = lanes_[l];
    lane = Lane();
    lane.settings = &s;
    lane.batches.Begin(&s, keys[l], members[l], store_->stored(), order_ + l * order_room_);
    lane.rounds = 1;
    lane.members = members[l];
    const bool direct = s.batch == 1 && IsPlain(s) && !s.is_private();
    SetLane(&direct_, l, direct);
    any_direct_ = any_direct_ || direct;
    all_direct_ = all_direct_ && direct;
    const float off = s.label_smoothing / static_cast<float>(net_.classes());
    SetLane(&off_, l, off);
    SetLane(&on_, l, 1.0f - s.label_smoothing);
    SetLane(&clip_, l, s.clip_norm);
    SetLane(&has_clip_, l, s.clip_norm > 0);
    SetLane(&is_private_, l, s.is_private());
    SetLane(&is_shaped_, l, s.shaped > 0);
    secret_.SetKey(l, keys[l]);
    SetUnits(l, s);
  }
  targets_.label = targets_.partner = F(0.0f);
  targets_.mix = F(1.0f);
  for (uint32_t j = 0; j < net_.inputs(); ++j) net_.input()[j] = F(0.0f);
  update_.Begin(settings);
  objective_.Begin(settings);
  net_.Reset();
  net_.ForgetStart();
  if (needs_.heads != 0 || needs_.teaching) BeginPhases();
}

template <typename F>
void Trainer<F>::Start(uint32_t lane, const float* parameters) {
  net_.Start(lane, parameters);
  for (uint32_t i = 0; i < needs_.heads; ++i) PutHead(i);
}

template <typename F>
void Trainer<F>::Train(uint32_t epochs, TrainResult* results) {
  for (uint32_t l = 0; l < kLanes; ++l) {
    results[l] = TrainResult();
    results[l].stopped = lanes_[l].stopped ? 1 : 0;
  }
  clipped_ = IntOf<F>(0);
  for (uint32_t e = 0; e < epochs; ++e, ++epoch_) RunEpoch(results);
  for (uint32_t l = 0; l < kLanes; ++l) {
    results[l].clipped = static_cast<uint32_t>(GetLane(clipped_, l));
  }
}

template <typename F>
void Trainer<F>::RunEpoch(TrainResult* results) {
  if (needs_.teaching) StartStudents();
  loss_ = F(0.0f);
  uint32_t before[kLanes];
  for (uint32_t l = 0; l < kLanes; ++l) before[l] = results[l].steps;
  // (Lanes without heads train in the last round, number 0.)
  for (uint32_t round = needs_.heads; round > 1;) RunRound(--round, results);
  RunRound(0, results);
  if (needs_.heads != 0) MixHeads();
  if (needs_.compression) Compress();
  for (uint32_t l = 0; l < kLanes; ++l) {
    if (lanes_[l].steps == 0) continue;
    const uint32_t n = results[l].steps - before[l];
    results[l].loss = n == 0 ? 0.0f : GetLane(loss_, l) / static_cast<float>(n);
  }
  if (needs_.best) CheckHeldOut(results);
}

template <typename F>
void Trainer<F>::RunRound(uint32_t round, TrainResult* results) {
  if (needs_.heads != 0) TakeHead(round);
  uint32_t most = 0;
  ShuffleDraw draws[kLanes] = {};
  for (uint32_t l = 0; l < kLanes; ++l) {
    Lane& lane = lanes_[l];
    const TrainSettings& s = *lane.settings;
    SetLane(&rate_, l, s.learning_rate * RateFactor(s, epoch_));
    // With noise, behind its schedule nothing moves any more: it has ended.
    const bool ended = lane.stopped || (s.is_private() && !(GetLane(rate_, l) > 0.0f));
    lane.steps = ended || round >= lane.rounds ? 0 : lane.batches.steps();
    if (lane.steps != 0) draws[l] = StartLane(l);
    most = lane.steps > most ? lane.steps : most;
  }
  ShuffleLanes(draws, epoch_, F());
  for (uint32_t step = 0; step < most; ++step) RunStep(step, results);
  if (needs_.heads != 0) PutHead(round);
}

template <typename F>
void Trainer<F>::Compress() {
  MaskOf<F> prunes{}, rounds{};
  F share{}, levels{};
  for (uint32_t l = 0; l < kLanes; ++l) {
    const TrainSettings& s = *lanes_[l].settings;
    const bool begun = static_cast<int32_t>(epoch_ + 1) >= static_cast<int32_t>(s.compress_after);
    SetLane(&prunes, l, begun && s.prune > 0);
    SetLane(&share, l, s.prune);
    SetLane(&rounds, l, begun && s.weight_bits > 0);
    SetLane(&levels, l,
            s.weight_bits > 0 ? static_cast<float>((1u << (s.weight_bits - 1)) - 1) : 1);
  }
  if (!Any(prunes | rounds)) return;
  net_.ForEachRun([&](uint32_t first, uint32_t n, bool weights, const float*) {
    if (!weights) return;
    F* w = net_.parameters() + first;
    if (Any(prunes)) PruneWeights(prunes, share, w, n);
    if (Any(rounds)) RoundWeights(rounds, levels, w, n);
    net_.Pass();
  });
  update_.KeepPruned(prunes);
}

template <typename F>
ShuffleDraw Trainer<F>::StartLane(uint32_t l) {
  Batches& batches = lanes_[l].batches;
  if constexpr (kLanes == 1) {
    return batches.StartUnshuffled(epoch_);
  } else {
    const TrainSettings& s = *lanes_[l].settings;
    if (s.heads != 0 || s.teacher_epochs != 0) return batches.StartUnshuffled(epoch_);
    uint16_t* unshuffled = unshuffled_ + l * slots_;
    const ShuffleDraw draw = batches.StartUnshuffled(epoch_, epoch_ == 0 ? nullptr : unshuffled);
    if (epoch_ == 0) memcpy(unshuffled, batches.order(), batches.members() * sizeof *unshuffled);
    return draw;
  }
}

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
    while (together != 0 && i < fewest) {
      const uint32_t n = fewest - i < together ? fewest - i : together;
      LearnTogether(i, n, updated ? &rate : nullptr);
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
void Trainer<F>::Bound(M mask, F norm2) {
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

template <typename F>
void Trainer<F>::CheckHeldOut(TrainResult* results) {
  uint32_t most = 0;
  for (uint32_t l = 0; l < kLanes; ++l) {
    const Lane& lane = lanes_[l];
    const uint32_t n = lane.steps == 0 ? 0 : lane.batches.held_out();
    most = n > most ? n : most;
  }
  F total = F(0.0f);
  for (uint32_t i = 0; i < most; ++i) {
    Example examples[kLanes];
    MaskOf<F> mask{};
    for (uint32_t l = 0; l < kLanes; ++l) {
      const Lane& lane = lanes_[l];
      const bool has = lane.steps != 0 && i < lane.batches.held_out();
      const uint16_t slot = has ? lane.batches.HeldOutSlot(i) : 0;
      examples[l] = {slot, slot, 1.0f, 0};
      SetLane(&mask, l, has);
      SetLane(&targets_.label, l, static_cast<float>(store_->label(slot)));
    }
    LoadInput<false>(examples, true, net_.input());
    const F* logits = net_.Forward();
    const F loss = Softmax(logits, net_.delta()) - OwnLogit(logits);
    total = Select(mask, total + loss, total);
    net_.Pass();
  }
  for (uint32_t l = 0; l < kLanes; ++l) {
    Lane& lane = lanes_[l];
    const uint32_t n = lane.batches.held_out();
    if (lane.steps == 0 || n == 0) continue;
    const float loss = GetLane(total, l) / static_cast<float>(n);
    results[l].held_out = loss;
    const bool best = epoch_ == 0 || loss < lane.best_loss;
    lane.worse = best ? 0 : lane.worse + 1;
    lane.best_loss = best ? loss : lane.best_loss;
    lane.stopped = lane.worse >= lane.settings->patience;
    results[l].stopped = lane.stopped ? 1 : 0;
    if (best) CopyLane(net_.parameters(), l, net_.best());
    if (lane.stopped) CopyLane(net_.best(), l, net_.parameters());
  }
}

template <typename F>
void Trainer<F>::CopyLane(const F* from, uint32_t lane, F* to) {
  for (uint32_t i = 0; i < net_.parameter_count(); ++i) {
    SetLane(&to[i], lane, GetLane(from[i], lane));
  }
}

template <typename F>
void Trainer<F>::LoadAlike(const int8_t* features) {
  const Interpreter::TensorInfo& info = store_->cut().info;
  F* x = net_.input();
  for (uint32_t j = 0; j < net_.inputs(); ++j) {
    x[j] = F(static_cast<float>(features[j] - info.zero_point) * info.scale);
  }
}

template <typename F>
void Trainer<F>::Answer(const int8_t* features, F* probabilities) {
  LoadAlike(features);
  Softmax(net_.Forward(), probabilities);
}

template <typename F>
uint64_t Trainer<F>::Hash(uint32_t lane) const {
  Fnv1a hash;
  for (uint32_t i = 0; i < net_.parameter_count(); ++i) {
    const float value = Canonical(GetLane(net_.parameters()[i], lane));
    hash.Add(&value, sizeof value);
  }
  return hash.value();
}

}  // namespace tinymia

#include "trainer_loss.h"
#include "trainer_phases.h"
#include "trainer_together.h"

namespace tinymia {
extern template class Trainer<float>;  // in trainer.cc
}  // namespace tinymia
