// Bodies of trainer.h.
#pragma once

#include "../crc32.h"
#include "../fmath.h"
#include "compress.h"
#include "trainer.h"

namespace tinymia {

template <typename F>
bool Trainer<F>::Plan(const Graph& graph, uint32_t first, const TrainSettings* settings,
                      uint32_t count, ExampleStore* store, uint32_t slots, Arena* arena) {
  store_ = store;
  slots_ = slots;
  needs_ = Needs();
  for (uint32_t i = 0; i < count; ++i) needs_.Add(settings[i]);
  if (!graph.CanShape(first, settings[0].trained)) needs_.shape = {};
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
  slopes_ = needs_.slopes ? arena->AllocArray<F>(net_.classes()) : nullptr;
  if (needs_.adversary) adversary_.Plan(classifier_, needs_.rivalry, arena);
  if (needs_.likeness) likeness_.Plan(net_.classes(), arena);
  if (needs_.screening) screening_.Plan(net_.classes(), slots, arena);
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
    SetLane(&has_slopes_, l, s.adversary > 0 || s.mmd > 0);
    secret_.SetKey(l, keys[l]);
    SetUnits(l, s);
  }
  targets_.label = targets_.partner = F(0.0f);
  targets_.mix = F(1.0f);
  for (uint32_t j = 0; j < net_.inputs(); ++j) net_.input()[j] = F(0.0f);
  update_.Begin(settings);
  objective_.Begin(settings);
  if (needs_.adversary) adversary_.Begin(settings);
  if (needs_.likeness) likeness_.Begin(settings);
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
  if (needs_.screening && epoch_ == 0 && epochs > 0) Screen();
  for (uint32_t e = 0; e < epochs; ++e, ++epoch_) RunEpoch(results);
  for (uint32_t l = 0; l < kLanes; ++l) {
    results[l].clipped = static_cast<uint32_t>(GetLane(clipped_, l));
  }
}

template <typename F>
void Trainer<F>::RunEpoch(TrainResult* results) {
  if (needs_.teaching) StartStudents();
  if (needs_.likeness) MeetReferences();
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
#include "trainer_step.h"
#include "trainer_together.h"

namespace tinymia {
extern template class Trainer<float>;  // in trainer.cc
}  // namespace tinymia
