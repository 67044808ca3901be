// Which example comes when, for one device: the order of an epoch, held-out examples, partners of
// mixup, and the Poisson draws of DP-SGD. Depends on the settings, the members and the seed only.
#pragma once

#include <stdint.h>

#include "noise.h"
#include "settings.h"

namespace tinymia {

struct Example {
  uint16_t slot;
  uint16_t partner;   // mixed in with weight 1 - mix; the slot itself without mixup
  float mix;          // 1 without mixup
  uint32_t position;  // number of the example in its epoch: keys its dropout and augmentation
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
  uint32_t steps() const;  // in an epoch

  void StartEpoch(uint32_t epoch);
  uint16_t HeldOutSlot(uint32_t i) const { return order_[i]; }
  // Number of examples of a step; may be 0 under Poisson sampling.
  uint32_t StartStep(uint32_t step);
  Example Get(uint32_t i) const;  // i-th example of the step

 private:
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
