// The sample store: what was sent, as the trained layers' int8 input or, for augmentation, as whole
// windows, with labels and the members.
#pragma once

#include <stdint.h>

#include "../model_engine.h"
#include "augment.h"
#include "settings.h"

namespace tinymia {

class ExampleStore {
 public:
  // `cut`: the trained layers' input in the backbone (Engine::FindCut). Windows are kept whole
  // if `raw`. Memory is given by Place().
  void Plan(Engine* engine, const Engine::Cut& cut, bool raw);
  uint32_t slot_bytes() const { return slot_bytes_; }
  const Engine::Cut& cut() const { return cut_; }
  bool raw() const { return raw_; }

  // Bytes for that many slots with labels and bitmap.
  uint32_t BytesFor(uint32_t slots) const { return slots * (slot_bytes_ + 1) + (slots + 7) / 8; }
  // Uses `memory`, BytesFor(capacity) bytes, empty.
  void Place(uint8_t* memory, uint32_t capacity);
  // Another number of slots, at least stored(), in as much memory from the same place on; what is
  // stored and selected stays.
  void Resize(uint32_t capacity);

  void Clear();
  void Put(uint32_t slot, const int8_t* window, uint8_t label);  // slot <= stored()
  void FillUpTo(uint32_t slot);  // with empty windows, no members, where less is stored
  void Select(const uint8_t* bitmap, uint32_t bytes);

  // What the trained layers read; valid until the next call.
  const int8_t* Features(uint32_t slot);
  const int8_t* FeaturesOf(const int8_t* window);
  const int8_t* Augmented(const TrainSettings& settings, uint32_t slot, uint32_t epoch,
                          uint32_t position);

  // What was stored.
  const int8_t* Kept(uint32_t slot) const { return slots_ + slot * slot_bytes_; }
  uint8_t label(uint32_t slot) const { return labels_[slot]; }
  const uint8_t* bitmap() const { return bitmap_; }
  uint32_t stored() const { return stored_; }
  uint32_t members() const { return members_; }
  uint32_t capacity() const { return capacity_; }
  uint64_t Hash() const;

 private:
  bool IsMember(uint32_t i) const { return (bitmap_[i / 8] >> (i % 8) & 1) != 0; }
  const int8_t* Compute(const int8_t* window);

  Engine* engine_ = nullptr;
  Engine::Cut cut_;
  WindowShape shape_ = {};
  bool raw_ = false;
  uint32_t slot_bytes_ = 0;
  int8_t* slots_ = nullptr;    // [capacity][slot_bytes]
  uint8_t* labels_ = nullptr;  // [capacity]
  uint8_t* bitmap_ = nullptr;  // [(capacity + 7) / 8]
  uint32_t capacity_ = 0;
  uint32_t stored_ = 0;
  uint32_t members_ = 0;
};

}  // namespace tinymia
