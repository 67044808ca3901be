// The sample store and whole epochs of training over the members in it.
#pragma once

#include <stdint.h>

#include "arena.h"
#include "head.h"

namespace tinymia {

class Trainer {
 public:
  // Takes the store from what is left of the arena (at most kMaxSlots); false when not one slot
  // fits.
  bool Plan(Head* head, Arena* arena);

  void Clear();  // empties the store
  int8_t* slot(uint32_t index) { return store_ + index * head_->dim(); }
  void set_label(uint32_t index, uint8_t label) { labels_[index] = label; }
  void Extend(uint32_t count) { stored_ = count > stored_ ? count : stored_; }
  void Select(const uint8_t* bitmap, uint32_t bytes);  // bit i: slot i is a member

  void Begin(const TrainSettings& settings);  // back to the base tail, epoch 0
  struct Result {
    float loss = 0;  // mean over the last epoch
    uint32_t steps = 0;
    uint32_t clipped = 0;
  };
  Result Train(uint32_t epochs);

  uint64_t TailHash() const;
  uint64_t StoreHash() const;
  uint64_t SettingsHash() const;
  uint32_t epoch() const { return epoch_; }
  uint32_t stored() const { return stored_; }
  uint32_t members() const { return members_; }
  uint32_t capacity() const { return capacity_; }

 private:
  static constexpr uint32_t kMaxSlots = 4096;

  bool IsMember(uint32_t i) const { return (bitmap_[i / 8] >> (i % 8) & 1) != 0; }

  Head* head_ = nullptr;
  TrainSettings settings_;
  int8_t* store_ = nullptr;    // [capacity][dim] embeddings
  uint8_t* labels_ = nullptr;  // [capacity]
  uint16_t* order_ = nullptr;  // [capacity] slots of the members, shuffled anew each epoch
  uint8_t* bitmap_ = nullptr;  // [capacity / 8]
  uint32_t capacity_ = 0;
  uint32_t stored_ = 0;
  uint32_t members_ = 0;
  uint32_t epoch_ = 0;
};

}  // namespace tinymia
