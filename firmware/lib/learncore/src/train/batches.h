// Which example comes when, for one device: the order of an epoch, held-out examples, partners of
// mixup, and the Poisson draws of DP-SGD. Depends on the settings, the members and the seed only.
#pragma once

#include <stdint.h>

#include "noise.h"
#include "settings.h"
#include "shuffle.h"

namespace tinymia {

struct Example {
  uint16_t slot;
  uint16_t partner;  // mixed in with weight 1 - mix; the slot itself without mixup
  float mix;         // 1 without mixup
  // Keys its dropout and augmentation: the number of the example in its epoch; under Poisson
  // sampling step * 2^16 + slot, so that what becomes of an example does not depend on the others,
  // nor on how many there are.
  uint32_t position;
};

class Batches {
 public:
  // `members`: bit i is slot i, of `slots`. `order` has room for as many entries as there are
  // members. All stay where they are.
  void Begin(const TrainSettings* settings, const SecretKey& key, const uint8_t* members,
             uint32_t slots, uint16_t* order);

  uint32_t members() const { return members_; }
  uint32_t held_out() const { return held_out_; }
  uint32_t training() const { return members_ - held_out_; }
  // In an epoch; under Poisson sampling of the expected members, not of those that there are.
  uint32_t steps() const;

  // The order starts from the slots in order, so it depends on no epoch before: with held-out
  // examples they are shuffled by Purpose::kHoldout first, where the first are held out (the same
  // in all epochs); then the others by Purpose::kOrder and the epoch.
  void StartEpoch(uint32_t epoch);
  // The same but for the last shuffle, which is left to the caller. `again`: the order as this left
  // it in an epoch before, which it does not depend on.
  ShuffleDraw StartUnshuffled(uint32_t epoch, const uint16_t* again = nullptr);
  uint16_t HeldOutSlot(uint32_t i) const { return order_[i]; }
  // Number of examples of a step. Under Poisson sampling, where it may be 0, each member is in with
  // probability floor(2^32 * batch / expected_members) / 2^32, by one word of the stream of that
  // step of all (epoch * steps + step) for each in the slots' order; all are if the batch is as
  // large as what is expected. So neither rate nor steps follow the number of members.
  uint32_t StartStep(uint32_t step);
  // The same with the words of that stream, drawn before, `stride` apart; Poisson sampling only.
  uint32_t StartDrawn(uint32_t step, const uint32_t* words, uint32_t stride);
  uint32_t StreamOf(uint32_t step) const { return epoch_ * steps() + step; }
  const uint16_t* order() const { return order_; }
  // Examples of all epochs before the step's i-th; not under Poisson sampling.
  uint32_t Seen(uint32_t i) const { return epoch_ * training() + position_ + i; }
  // Slots of the step's examples.
  const uint16_t* InStep() const { return order_ + first_; }
  // The i-th example of the step.
  Example Get(uint32_t i) const {
    const uint16_t slot = order_[first_ + i];
    const uint32_t position = position_ + (settings_->is_private() ? slot : i);
    return settings_->mixup > 0.0f ? Mixed(slot, position) : Example{slot, slot, 1.0f, position};
  }

 private:
  Example Mixed(uint16_t slot, uint32_t position) const;
  template <typename Draw>
  uint32_t StartPoisson(uint32_t step, Draw draw);
  // Bit i: whether slot first + i is a member, for the eight from there on. (Few of what is stored
  // are: whole bytes are passed over.)
  uint32_t MembersFrom(uint32_t first) const {
    const uint32_t all = bitmap_[first / 8];
    return slots_ - first < 8 ? all & ((1u << (slots_ - first)) - 1) : all;
  }

  const TrainSettings* settings_ = nullptr;
  SecretKey key_ = {};
  const uint8_t* bitmap_ = nullptr;
  uint16_t* order_ = nullptr;  // held-out slots, then the others in the epoch's order
  uint32_t slots_ = 0;
  uint32_t members_ = 0;
  uint32_t held_out_ = 0;
  uint32_t epoch_ = 0;
  uint32_t first_ = 0;     // of the step's examples, in order_
  uint32_t position_ = 0;  // of the step's first example in the epoch
  uint32_t drawn_ = 0;
};

}  // namespace tinymia
