#include "planner.h"

#include "fixedpoint.h"

namespace tinymia {
namespace {

constexpr uint32_t kAlignment = 8;

uint32_t Aligned(uint32_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

bool Together(const Slot& a, const Slot& b) { return a.first <= b.last && b.first <= a.last; }

constexpr uint16_t kEnd = 0xFFFF;

// Puts a slot at the lowest offset where it collides with none that is placed: `first` and
// `source` list those by their offset, so that one walk does.
void Place(Slot* slots, uint16_t* first, uint32_t index) {
  Slot& slot = slots[index];
  slot.offset = 0;
  for (uint16_t i = *first; i != kEnd; i = slots[i].source) {
    const Slot& other = slots[i];
    const uint32_t other_end = other.offset + Aligned(other.bytes);
    if (Together(slot, other) && slot.offset < other_end &&
        other.offset < slot.offset + slot.bytes) {
      slot.offset = other_end;
    }
  }
  slot.placed = true;
  uint16_t* link = first;
  while (*link != kEnd && slots[*link].offset <= slot.offset) link = &slots[*link].source;
  slot.source = *link;
  *link = static_cast<uint16_t>(index);
}

}  // namespace

uint32_t PlanSlots(Slot* slots, uint32_t count) {
  uint32_t total = 0;
  uint16_t first = kEnd;
  for (;;) {
    Slot* largest = nullptr;
    for (uint32_t i = 0; i < count; ++i) {
      Slot& slot = slots[i];
      if (slot.state != Slot::kPlanned || slot.placed) continue;
      if (largest == nullptr || slot.bytes > largest->bytes) largest = &slot;
    }
    if (largest == nullptr) return total;
    Place(slots, &first, static_cast<uint32_t>(largest - slots));
    total = Max(total, largest->offset + Aligned(largest->bytes));
  }
}

}  // namespace tinymia
