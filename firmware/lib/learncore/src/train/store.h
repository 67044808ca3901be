// The sample store: what was sent, as the trained layers' int8 input or, for augmentation, as whole
// windows, with labels and the members.
#pragma once

#include <stdint.h>

#include "../interpreter.h"
#include "augment.h"
#include "settings.h"

namespace tinymia {

class ExampleStore {
 public:
  // `cut`: the trained layers' input in the backbone (Interpreter::FindCut). Windows are kept whole
  // if `raw`. Memory is given by Place().
  void Plan(Interpreter* interpreter, const Interpreter::Cut& cut, bool raw);
  uint32_t slot_bytes() const { return slot_bytes_; }
  const Interpreter::Cut& cut() const { return cut_; }
  bool raw() const { return raw_; }

  // Bytes for `slots` slots with labels, order and bitmap; and the most slots in `bytes`.
  uint32_t BytesFor(uint32_t slots) const;
  uint32_t CapacityIn(uint32_t bytes) const;
  // Uses `memory` (8-byte aligned, BytesFor(capacity) bytes), empty.
  void Place(uint8_t* memory, uint32_t capacity);
  // Fewer slots in the same memory; what is stored stays. `capacity` >= stored().
  void Shrink(uint32_t capacity);

  void Clear();
  void Put(uint32_t slot, const int8_t* window, uint8_t label);  // slot <= stored()
  void Select(const uint8_t* bitmap, uint32_t bytes);

  // What the trained layers read; valid until the next call.
  const int8_t* Features(uint32_t slot);
  const int8_t* FeaturesOf(const int8_t* window);
  const int8_t* Augmented(const TrainSettings& settings, uint32_t slot, uint32_t epoch,
                          uint32_t position);

  uint8_t label(uint32_t slot) const { return labels_[slot]; }
  const uint8_t* bitmap() const { return bitmap_; }
  uint32_t stored() const { return stored_; }
  uint32_t members() const { return members_; }
  uint32_t capacity() const { return capacity_; }
  uint64_t Hash() const;
};

}  // namespace tinymia
