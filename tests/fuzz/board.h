// A board for the fuzzers: the firmware's session over memory of exactly the sizes that it is told.
#pragma once

#include <stdint.h>

#include <memory>
#include <vector>

#include "session.h"

namespace fuzz {

struct Free {
  void operator()(uint8_t* memory) const;
};
using Memory = std::unique_ptr<uint8_t, Free>;

// Aligned to 16, and not a byte more, so that a sanitizer sees any access beyond it.
Memory Exactly(size_t size);
Memory CopyOf(const std::vector<uint8_t>& data);

// The bundle with the checksum and the size of what it holds.
std::vector<uint8_t> Sealed(const uint8_t* data, size_t size);

// What lies in the file `path`; ends the program where there is none.
std::vector<uint8_t> ReadFile(const char* path);

// A request's handler, past the link.
uint32_t Ask(tinymia::Session* session, tinymia::Type type, const std::vector<uint8_t>& payload,
             std::vector<uint8_t>* response);

// Every 100th look at the clock is a quarter of a second later.
void ResetClock();

}  // namespace fuzz
