// Screening of stored examples before training: the given share of the members, those whose labels
// the network as training starts finds least likely, is left out. It is the first round of trimmed
// loss minimisation (Shen and Sanghavi, ICML 2019), begun at a network that has not seen the
// members, and so none of the poison among them.
#pragma once

#include <stdint.h>
#include <string.h>

#include "../arena.h"
#include "../cold.h"
#include "lanes.h"
#include "settings.h"
#include "store.h"

namespace tinymia {

inline bool IsIn(const uint8_t* bitmap, uint32_t i) { return (bitmap[i / 8] >> i % 8 & 1) != 0; }

template <typename F>
class Screening {
 public:
  static constexpr uint32_t kLanes = Lanes<F>::kCount;

  TINYMIA_COLD void Plan(uint32_t classes, uint32_t slots, Arena* arena) {
    classes_ = classes;
    bytes_ = (slots + 7) / 8;
    losses_ = arena->AllocArray<F>(slots);
    kept_ = arena->AllocArray<uint8_t>(kLanes * bytes_);
    quotas_ = arena->AllocArray<uint16_t>(classes);
  }

  // Of a slot, in every lane. What has been noted of no member counts nothing.
  void Note(uint32_t slot, F loss) { losses_[slot] = loss; }

  // A lane's members before any is left out; returns how many shall be.
  TINYMIA_COLD uint32_t Begin(uint32_t lane, uint32_t share, const uint8_t* members,
                              const ExampleStore& store) {
    uint8_t* kept = kept_ + lane * bytes_;
    memcpy(kept, members, (store.stored() + 7) / 8);
    uint32_t count = 0;
    for (uint32_t c = 0; c < classes_; ++c) quotas_[c] = 0;
    for (uint32_t i = 0; i < store.stored(); ++i) {
      if (!IsIn(kept, i)) continue;
      ++count;
      ++quotas_[store.label(i)];
    }
    // Else a class that the network does not know yet would never be learnt.
    for (uint32_t c = 0; c < classes_; ++c) quotas_[c] = static_cast<uint16_t>(quotas_[c] * 3 / 4);
    return count * share / 100;
  }

  // Leaves the least likely one out, of equal ones the first; false where there is none that may
  // be.
  TINYMIA_COLD bool LeaveOut(uint32_t lane, const ExampleStore& store) {
    uint8_t* kept = kept_ + lane * bytes_;
    uint32_t worst = store.stored();
    float most = -1.0f;  // (What is no number is never left out.)
    for (uint32_t i = 0; i < store.stored(); ++i) {
      if (!IsIn(kept, i) || quotas_[store.label(i)] == 0) continue;
      const float loss = GetLane(losses_[i], lane);
      if (!(loss > most)) continue;
      most = loss;
      worst = i;
    }
    if (worst == store.stored()) return false;
    --quotas_[store.label(worst)];
    kept[worst / 8] = static_cast<uint8_t>(kept[worst / 8] & ~(1u << worst % 8));
    return true;
  }

  const uint8_t* kept(uint32_t lane) const { return kept_ + lane * bytes_; }

 private:
  uint32_t classes_ = 0;
  uint32_t bytes_ = 0;          // of a bitmap
  F* losses_ = nullptr;         // [slots]
  uint8_t* kept_ = nullptr;     // [kLanes][bitmap]
  uint16_t* quotas_ = nullptr;  // [classes] how many may still be left out, of one lane
};

}  // namespace tinymia
