// Places the tensors of a model in one block of memory: two tensors that are never needed at the
// same time may share bytes. Greedy by size, as in Pisarchyk and Lee 2020 (arXiv:2001.03288).
#pragma once

#include <stdint.h>

namespace tinymia {

struct Slot {
  enum State : uint8_t {
    kUnused,   // not computed, or not yet
    kPlanned,  // needs `bytes` of its own
    kShared,   // the same bytes as slot `source`
    kFile,     // constant, at `offset` in the model file
  };
  uint32_t bytes;
  uint32_t offset;
  uint16_t first;   // operator that writes it
  uint16_t last;    // last operator that reads it
  uint16_t source;  // in the planner also: the slot that is placed next higher
  State state;
  bool placed;
};

// Sets every planned slot's offset, and returns the size of the block.
uint32_t PlanSlots(Slot* slots, uint32_t count);

}  // namespace tinymia
