// Loads and runs every model of a corpus file: u32 length and that many bytes, again and again.
// Each lies in memory of exactly its size, so that a sanitizer sees any access beyond it.
// Prints one line a model: the status of Load, and the arena it asked for.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "arena.h"
#include "interpreter.h"

namespace {

using tinymia::Arena;
using tinymia::Interpreter;
using tinymia::Status;

constexpr uint32_t kArenaBytes = 1 << 16;

Status LoadAndRun(const uint8_t* model, uint32_t size, uint32_t arena_size, uint32_t* used) {
  uint8_t* memory = static_cast<uint8_t*>(std::malloc(arena_size + 1));
  Arena arena(memory, arena_size);
  Interpreter interpreter;
  const Status status = interpreter.Load(model, size, &arena);
  *used = arena.used();
  if (status == Status::kOk) {
    for (int fill = -128; fill < 128; fill += 255) {
      std::memset(interpreter.input(), fill, static_cast<size_t>(interpreter.input_info().bytes));
      interpreter.Invoke();
      volatile int8_t sink = 0;
      for (int32_t i = 0; i < interpreter.output_info().bytes; ++i) sink = interpreter.output()[i];
      (void)sink;
    }
  }
  std::free(memory);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::FILE* file = std::fopen(argv[1], "rb");
  if (file == nullptr) return 2;
  uint32_t size = 0;
  while (std::fread(&size, sizeof(size), 1, file) == 1) {
    uint8_t* model = static_cast<uint8_t*>(std::malloc(size));
    if (std::fread(model, 1, size, file) != size) return 2;
    uint32_t used = 0;
    const Status status = LoadAndRun(model, size, kArenaBytes, &used);
    if (status == Status::kOk) {
      // Just enough must do, and one byte less must be refused.
      uint32_t again = 0;
      if (LoadAndRun(model, size, used, &again) != Status::kOk) return 3;
      if (LoadAndRun(model, size, used - 1, &again) != Status::kArenaTooSmall) return 4;
    }
    std::printf("%d %u\n", static_cast<int>(status), used);
    std::free(model);
  }
  std::fclose(file);
  return 0;
}
