// Text commands, whatever is in them, between frames: the board stays up.
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "hal.h"
#include "mlperf.h"
#include "targets.h"

namespace fuzz {
namespace {

constexpr uint32_t kArena = 1 << 15;

bool IsDigit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

// Whether it may ask for many inferences, which is good work but takes its time.
bool TakesLong(const uint8_t* data, size_t size) {
  bool infers = false;
  bool large = false;
  for (size_t i = 0; i + 5 <= size; ++i) infers = infers || memcmp(data + i, "infer", 5) == 0;
  for (size_t i = 0; i + 3 <= size; ++i) {
    large = large || (data[i] == ' ' && IsDigit(data[i + 1]) && IsDigit(data[i + 2]));
  }
  return infers && large;
}

}  // namespace

void Text(const uint8_t* data, size_t size) {
  static const std::vector<uint8_t> bundle = ReadFile(getenv("TINYMIA_FUZZ_BUNDLE"));
  if (TakesLong(data, size)) return;
  ResetClock();
  const Memory flash = CopyOf(bundle);
  const Memory memory = Exactly(kArena);
  tinymia::Session session(memory.get(), kArena);
  session.Load(flash.get(), static_cast<uint32_t>(bundle.size()));
  tinymia::TextCommands commands(&session);
  commands.Greet();
  for (size_t i = 0; i < size; ++i) commands.Push(data[i], 7);
  commands.Push(0, 7);
  commands.TakeSpoken();
  for (const char* c = "name%"; *c != 0; ++c) commands.Push(static_cast<uint8_t>(*c), 7);
  if (!commands.TakeSpoken()) abort();  // it must have answered
}

}  // namespace fuzz
