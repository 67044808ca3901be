#include "planner.h"

#include "fixedpoint.h"

namespace tinymia {
namespace {

constexpr uint32_t kAlignment = 8;

uint32_t Aligned(uint32_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

bool Together(const Slot& a, const Slot& b) { return a.first <= b.last && b.first <= a.last; }

// The lowest offset at which `slot` collides with none that is placed.
uint32_t LowestOffset(const Slot* slots, uint32_t count, const Slot& slot) {
  uint32_t offset = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (uint32_t i = 0; i < count; ++i) {
      const Slot& other = slots[i];
      if (!other.placed || !Together(slot, other)) continue;
      const uint32_t other_end = other.offset + Aligned(other.bytes);
      if (offset < other_end && other.offset < offset + slot.bytes) {
        offset = other_end;
        moved = true;
      }
    }
  }
  return offset;
}

}  // namespace

uint32_t PlanSlots(Slot* slots, uint32_t count) {
  uint32_t total = 0;
  for (;;) {
    Slot* largest = nullptr;
    for (uint32_t i = 0; i < count; ++i) {
      Slot& slot = slots[i];
      if (slot.state != Slot::kPlanned || slot.placed) continue;
      if (largest == nullptr || slot.bytes > largest->bytes) largest = &slot;
    }
    if (largest == nullptr) return total;
    largest->offset = LowestOffset(slots, count, *largest);
    largest->placed = true;
    total = Max(total, largest->offset + Aligned(largest->bytes));
  }
}

}  // namespace tinymia
