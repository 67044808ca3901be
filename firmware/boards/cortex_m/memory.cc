// The memory map as the linker made it.

#include <stdint.h>

#include "hal.h"
#include "startup.h"

extern "C" {
extern uint8_t tinymia_arena_start[];
extern uint8_t tinymia_arena_end[];
extern const uint8_t tinymia_build_id_note[];
extern const uint8_t tinymia_bundle_start[];
extern const uint8_t tinymia_bundle_capacity[];  // its address is the value
}

namespace tinymia::hal {

uint32_t StackSize() {
  return static_cast<uint32_t>(tinymia_stack_top - tinymia_stack_bottom) * sizeof(uint32_t);
}

uint32_t StackHighWater() {
  const volatile uint32_t* p = tinymia_stack_bottom;
  while (p < tinymia_stack_top && *p == kStackPaint) ++p;
  return static_cast<uint32_t>(tinymia_stack_top - p) * sizeof(uint32_t);
}

uint8_t* ArenaBase() { return tinymia_arena_start; }

uint32_t ArenaSize() { return static_cast<uint32_t>(tinymia_arena_end - tinymia_arena_start); }

Region BundleRegion() {
  return {tinymia_bundle_start, reinterpret_cast<uint32_t>(tinymia_bundle_capacity)};
}

// The note: three words (name size, size, type), "GNU" and a zero, then the id.
const uint8_t* BuildId() { return tinymia_build_id_note + 16; }

}  // namespace tinymia::hal
