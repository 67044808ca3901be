// The memory map as the linker made it, on bare metal and beside a framework.

#include <stdint.h>

#include "hal.h"

extern "C" {
extern uint8_t tinymia_arena_start[];
extern uint8_t tinymia_arena_end[];
extern const uint8_t tinymia_build_id_note[];
extern const uint8_t tinymia_bundle_start[];
extern const uint8_t tinymia_bundle_capacity[];  // its address is the value
}

namespace tinymia::hal {
namespace {

// What .bundle holds until a bundle is baked in: as if the flash were erased.
__attribute__((section(".bundle"), used, aligned(16))) constexpr uint32_t kNoBundle[4] = {
    0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF};

}  // namespace

uint8_t* ArenaBase() { return tinymia_arena_start; }

uint32_t ArenaSize() { return static_cast<uint32_t>(tinymia_arena_end - tinymia_arena_start); }

Region BundleRegion() {
  return {tinymia_bundle_start, reinterpret_cast<uint32_t>(tinymia_bundle_capacity)};
}

// The note: three words (name size, size, type), "GNU" and a zero, then the id.
const uint8_t* BuildId() { return tinymia_build_id_note + 16; }

}  // namespace tinymia::hal
