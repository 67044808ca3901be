// Bodies of trainer.h, continued: what runs around the one step. Several heads, of which each
// learns from its part of the members, an epoch of one behind an epoch of the other; and a teacher
// that answers softly for a student, which then starts from the base network; and before them all
// the screening of what is stored.
#pragma once

#include "shuffle.h"
#include "trainer.h"

namespace tinymia {

constexpr uint8_t kNoMember = 0xFF;

template <typename F>
void Trainer<F>::PlanPhases(Arena* arena) {
  all_ = part_ = others_ = nullptr;
  soft_ = targets_soft_ = heads_ = nullptr;
  if (needs_.heads != 0) {
    heads_ = arena->AllocArray<F>(needs_.heads * net_.parameter_count());
    part_ = arena->AllocArray<uint8_t>(kLanes * slots_);
    others_ = arena->AllocArray<uint8_t>(kLanes * ((slots_ + 7) / 8));
  }
  stack_ = stacked_ = nullptr;
  if (needs_.stacking) {
    const uint32_t row = needs_.heads * net_.classes() + 1;
    stack_ = arena->AllocArray<F>(net_.classes() * row);
    stacked_ = arena->AllocArray<F>((net_.classes() + 1) * row);
  }
  if (!needs_.teaching) return;
  const uint32_t own = needs_.own ? slots_ : 0;
  const uint32_t rows = own > needs_.references ? own : needs_.references;
  const uint32_t examples = net_.together() == 0 ? 1 : net_.together();
  soft_ = arena->AllocArray<F>(rows * net_.classes());
  targets_soft_ = arena->AllocArray<F>(examples * net_.classes());
  if (needs_.references != 0) all_ = arena->AllocArray<uint8_t>((needs_.references + 7) / 8);
}

template <typename F>
void Trainer<F>::BeginPhases() {
  is_student_ = has_heads_ = MaskOf<F>{};
  for (uint32_t i = 0; all_ != nullptr && i < needs_.references; ++i) all_[i / 8] = 0xFF;
  for (uint32_t l = 0; l < kLanes; ++l) {
    Lane& lane = lanes_[l];
    const TrainSettings& s = *lane.settings;
    SetLane(&softening_, l, s.teacher_epochs > 0 ? 1.0f / s.teacher_temperature : 1.0f);
    SetLane(&has_heads_, l, s.heads > 0);
    if (s.heads == 0) continue;
    lane.rounds = s.heads;
    // Which part a member belongs to: members dealt out in a random order.
    uint8_t* part = part_ + l * slots_;
    uint16_t* order = order_ + l * order_room_;
    memset(part, kNoMember, slots_);
    lane.batches.StartUnshuffled(0);
    const uint32_t n = lane.batches.members();
    Shuffle(s.seed, 0, order, n, Purpose::kParts);
    const uint32_t parts = s.heads + (s.stacking > 0 ? 1u : 0u);
    for (uint32_t i = 0; i < n; ++i) part[order[i]] = static_cast<uint8_t>(i % parts);
  }
  if (needs_.stacking) StartStack();
  for (uint32_t i = 0; i < needs_.heads; ++i) {
    memcpy(heads_ + i * net_.parameter_count(), net_.parameters(),
           net_.parameter_count() * sizeof(F));
  }
}

// Behind it, lanes train on what is left as if nothing else had ever been selected.
template <typename F>
void Trainer<F>::Screen() {
  for (uint32_t slot = 0; slot < store_->stored(); ++slot) {
    bool any = false;
    for (uint32_t l = 0; l < kLanes; ++l) {
      any = any || (lanes_[l].settings->screen > 0 && IsIn(lanes_[l].members, slot));
    }
    if (!any) continue;
    LoadAlike(store_->Features(slot));
    const F* logits = net_.Forward();
    targets_.label = F(static_cast<float>(store_->label(slot)));
    screening_.Note(slot, Softmax(logits, net_.delta()) - OwnLogit(logits));
    net_.Pass();
  }
  for (uint32_t l = 0; l < kLanes; ++l) {
    Lane& lane = lanes_[l];
    const TrainSettings& s = *lane.settings;
    if (s.screen == 0) continue;
    uint32_t left = screening_.Begin(l, s.screen, lane.members, *store_);
    for (; left > 0 && screening_.LeaveOut(l, *store_); --left) net_.Pass();
    lane.members = screening_.kept(l);
    lane.batches.Begin(&s, SecretKey(), lane.members, store_->stored(), order_ + l * order_room_);
  }
  if (needs_.heads != 0 || needs_.teaching) BeginPhases();
}

template <typename F>
bool Trainer<F>::LeavesOut(uint32_t l, uint32_t head, uint32_t slot) const {
  const TrainSettings& s = *lanes_[l].settings;
  if (part_[l * slots_ + slot] >= s.heads) return true;  // what combines them learns from it
  return (head + s.heads - part_[l * slots_ + slot]) % s.heads < s.left_out;
}

template <typename F>
void Trainer<F>::TakeHead(uint32_t head) {
  MaskOf<F> takes = has_heads_ & !is_student_;
  for (uint32_t l = 0; l < kLanes; ++l) {
    Lane& lane = lanes_[l];
    const TrainSettings& s = *lane.settings;
    if (s.heads == 0 || head >= lane.rounds || lane.rounds != s.heads) {
      SetLane(&takes, l, false);
      continue;
    }
    uint8_t* members = others_ + l * ((slots_ + 7) / 8);
    memset(members, 0, (slots_ + 7) / 8);
    for (uint32_t i = 0; i < store_->stored(); ++i) {
      if (part_[l * slots_ + i] == kNoMember || LeavesOut(l, head, i)) continue;
      members[i / 8] = static_cast<uint8_t>(members[i / 8] | 1u << i % 8);
    }
    lane.batches.Begin(&s, SecretKey(), members, store_->stored(), order_ + l * order_room_);
  }
  if (!Any(takes)) return;
  const F* from = heads_ + head * net_.parameter_count();
  F* to = net_.parameters();
  for (uint32_t i = 0; i < net_.parameter_count(); ++i) to[i] = Select(takes, from[i], to[i]);
}

template <typename F>
void Trainer<F>::PutHead(uint32_t head) {
  memcpy(heads_ + head * net_.parameter_count(), net_.parameters(),
         net_.parameter_count() * sizeof(F));
}

// Logits are linear in the weights of one layer: the mean of the heads answers with the mean of
// their logits.
template <typename F>
void Trainer<F>::MixHeads() {
  const MaskOf<F> mixes = has_heads_ & !is_student_;
  if (!Any(mixes)) return;
  F number{};
  F share{};
  for (uint32_t l = 0; l < kLanes; ++l) {
    const float heads = lanes_[l].settings->heads;
    SetLane(&number, l, heads);
    SetLane(&share, l, heads > 0 ? 1.0f / heads : 0.0f);
  }
  F* to = net_.parameters();
  for (uint32_t i = 0; i < net_.parameter_count(); ++i) {
    F sum = heads_[i];
    for (uint32_t head = 1; head < needs_.heads; ++head) {
      const F more = sum + heads_[head * net_.parameter_count() + i];
      sum = Select(F(static_cast<float>(head)) < number, more, sum);
    }
    to[i] = Select(mixes, sum * share, to[i]);
  }
  if (needs_.stacking) Stack();
}

// It starts as the mean of the heads.
template <typename F>
void Trainer<F>::StartStack() {
  const uint32_t n = net_.classes();
  const uint32_t row = needs_.heads * n + 1;
  for (uint32_t i = 0; i < n * row; ++i) stack_[i] = F(0.0f);
  for (uint32_t l = 0; l < kLanes; ++l) {
    const TrainSettings& s = *lanes_[l].settings;
    for (uint32_t head = 0; head < s.heads; ++head) {
      for (uint32_t k = 0; k < n; ++k) {
        SetLane(&stack_[k * row + head * n + k], l, 1.0f / static_cast<float>(s.heads));
      }
    }
  }
}

// Stacking (Salem et al., NDSS 2019): a softmax regression on the heads' logits learns from the
// further part, one step of gradient descent behind each epoch. It is linear, and so what comes of
// it is again one head.
template <typename F>
void Trainer<F>::Stack() {
  const uint32_t n = net_.classes();
  const uint32_t row = needs_.heads * n + 1;
  const uint32_t bias = row - 1;
  const uint32_t each = net_.parameter_count();
  const uint32_t width = net_.inputs();
  F* logits = stacked_ + n * row;
  F* delta = net_.delta();
  F count = F(0.0f);
  F rate{}, number{};
  MaskOf<F> stacks{};
  for (uint32_t l = 0; l < kLanes; ++l) {
    SetLane(&stacks, l, lanes_[l].settings->stacking > 0);
    SetLane(&rate, l, lanes_[l].settings->stacking);
    SetLane(&number, l, lanes_[l].settings->heads);
  }
  for (uint32_t i = 0; i < n * row; ++i) stacked_[i] = F(0.0f);
  for (uint32_t slot = 0; slot < store_->stored(); ++slot) {
    MaskOf<F> mask{};
    for (uint32_t l = 0; l < kLanes; ++l) {
      const uint8_t part = part_[l * slots_ + slot];
      const TrainSettings& s = *lanes_[l].settings;
      SetLane(&mask, l, s.stacking > 0 && part == s.heads);
    }
    if (!Any(mask)) continue;
    LoadAlike(store_->Features(slot));
    for (uint32_t head = 0; head < needs_.heads; ++head) {
      F* own = logits + head * n;
      net_.ForwardOf(heads_ + head * each, own);
      const MaskOf<F> there = F(static_cast<float>(head)) < number;
      for (uint32_t j = 0; j < n; ++j) own[j] = Select(there, own[j], F(0.0f));
    }
    logits[bias] = F(1.0f);
    for (uint32_t k = 0; k < n; ++k) {
      F sum = F(0.0f);
      for (uint32_t j = 0; j < row; ++j) sum = sum + stack_[k * row + j] * logits[j];
      delta[k] = sum;
    }
    Softmax(delta, delta);
    const F label = F(static_cast<float>(store_->label(slot)));
    for (uint32_t k = 0; k < n; ++k) {
      const F error = delta[k] - Select(label == F(static_cast<float>(k)), F(1.0f), F(0.0f));
      for (uint32_t j = 0; j < row; ++j) {
        F* to = &stacked_[k * row + j];
        *to = Select(mask, *to + error * logits[j], *to);
      }
    }
    count = Select(mask, count + F(1.0f), count);
    net_.Pass();
  }
  const F step = rate / Larger(count, F(1.0f));
  F* to = net_.parameters();
  for (uint32_t k = 0; k < n; ++k) {
    F* factors = stack_ + k * row;
    for (uint32_t j = 0; j < row; ++j) factors[j] = factors[j] - step * stacked_[k * row + j];
    for (uint32_t i = 0; i <= width; ++i) {  // the last one is the bias
      F sum = i < width ? F(0.0f) : factors[bias];
      for (uint32_t j = 0; j < bias; ++j) {
        const F* head = heads_ + j / n * each;
        sum = sum + factors[j] * (i < width ? head[j % n * width + i] : head[n * width + j % n]);
      }
      F* at = i < width ? &to[k * width + i] : &to[n * width + k];
      *at = Select(stacks, sum, *at);
    }
  }
}

template <typename F>
void Trainer<F>::AnswerSoftly(const int8_t* features) {
  LoadAlike(features);
  const F* logits = net_.Forward();
  F* out = net_.delta();
  for (uint32_t k = 0; k < net_.classes(); ++k) out[k] = logits[k] * softening_;
  Softmax(out, out);
  net_.Pass();
}

template <typename F>
void Trainer<F>::StartStudents() {
  MaskOf<F> starting{};
  bool any = false;
  for (uint32_t l = 0; l < kLanes; ++l) {
    const TrainSettings& s = *lanes_[l].settings;
    const bool starts = s.teacher_epochs > 0 && epoch_ == s.teacher_epochs;
    SetLane(&starting, l, starts);
    any = any || starts;
  }
  if (!any) return;
  Teach(starting);
  net_.Reset(starting);
  update_.Restart(starting);
  for (uint32_t l = 0; l < kLanes; ++l) {
    Lane& lane = lanes_[l];
    const TrainSettings& s = *lane.settings;
    if (s.teacher_epochs == 0 || epoch_ != s.teacher_epochs) continue;
    SetLane(&is_student_, l, true);
    lane.rounds = 1;
    lane.rows = s.references > 0 ? references_.rows : nullptr;
    lane.batches.Begin(&s, SecretKey(), s.references > 0 ? all_ : lane.members,
                       s.references > 0 ? s.references : store_->stored(),
                       order_ + l * order_room_);
  }
}

template <typename F>
void Trainer<F>::Teach(MaskOf<F> starting) {
  const uint32_t classes = net_.classes();
  MaskOf<F> mask{};
  for (uint32_t i = 0; i < needs_.references; ++i) {
    AnswerSoftly(references_.rows + i * net_.inputs());
    for (uint32_t l = 0; l < kLanes; ++l) SetLane(&mask, l, i < lanes_[l].settings->references);
    mask = mask & starting;
    F* to = soft_ + i * classes;
    for (uint32_t k = 0; k < classes; ++k) to[k] = Select(mask, net_.delta()[k], to[k]);
  }
  if (!needs_.own) return;
  // Each member is taught by the mean of the heads that left it out, or by the one that there is.
  const uint32_t heads = needs_.heads == 0 ? 1 : needs_.heads;
  for (uint32_t l = 0; l < kLanes; ++l) SetLane(&mask, l, lanes_[l].settings->references == 0);
  mask = mask & starting;
  for (uint32_t i = 0; i < store_->stored() * classes; ++i) {
    soft_[i] = Select(mask, F(0.0f), soft_[i]);
  }
  for (uint32_t head = 0; head < heads; ++head) {
    if (needs_.heads != 0) {
      const F* from = heads_ + head * net_.parameter_count();
      const MaskOf<F> takes = has_heads_ & starting;
      F* to = net_.parameters();
      for (uint32_t i = 0; i < net_.parameter_count(); ++i) to[i] = Select(takes, from[i], to[i]);
    }
    for (uint32_t i = 0; i < store_->stored(); ++i) {
      F share{};
      bool any = false;
      for (uint32_t l = 0; l < kLanes; ++l) {
        const Lane& lane = lanes_[l];
        const TrainSettings& s = *lane.settings;
        const bool is_member = (lane.members[i / 8] >> i % 8 & 1) != 0;
        const bool taught = s.heads == 0 ? head == 0 : head < s.heads && LeavesOut(l, head, i);
        const bool now = s.teacher_epochs > 0 && epoch_ == s.teacher_epochs && s.references == 0 &&
                         is_member && taught;
        SetLane(&mask, l, now);
        SetLane(&share, l, s.heads == 0 ? 1.0f : 1.0f / static_cast<float>(s.left_out));
        any = any || now;
      }
      if (!any) continue;
      AnswerSoftly(store_->Features(i));
      F* to = soft_ + i * classes;
      for (uint32_t k = 0; k < classes; ++k) {
        to[k] = Select(mask, to[k] + share * net_.delta()[k], to[k]);
      }
    }
  }
}

// Soft targets of one example of each lane, behind those of the examples before it.
template <typename F>
void Trainer<F>::LoadSoft(const Example* examples) {
  const uint32_t classes = net_.classes();
  F* to = targets_soft_ + net_.turn() * classes;
  for (uint32_t k = 0; k < classes; ++k) {
    for (uint32_t l = 0; l < kLanes; ++l) {
      const Lane& lane = lanes_[l];
      const TrainSettings& s = *lane.settings;
      const bool has = s.teacher_epochs > 0 && epoch_ >= s.teacher_epochs;
      SetLane(&to[k], l, has ? GetLane(soft_[examples[l].slot * classes + k], l) : 0.0f);
    }
  }
  targets_.soft = to;
}

}  // namespace tinymia
