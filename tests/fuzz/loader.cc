// A .tflite file that loads must run, to its end and to every cut, and stay inside its memory.
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "board.h"
#include "model_engine.h"
#include "targets.h"

namespace fuzz {
namespace {

using tinymia::Arena;
using tinymia::Engine;
using tinymia::Status;

constexpr uint32_t kArena = 1 << 14;
constexpr uint32_t kMostCuts = 8;

}  // namespace

void Loader(const uint8_t* data, size_t size) {
  const Memory model = CopyOf({data, data + size});
  const Memory memory = Exactly(kArena);
  Arena arena(memory.get(), kArena);
  Engine engine;
  if (engine.Load(model.get(), static_cast<uint32_t>(size), &arena, true) != Status::kOk) return;
  if (arena.used() > kArena) abort();
  const auto bytes = static_cast<size_t>(engine.input_info().bytes);
  volatile int8_t sink = 0;
  for (int fill = -128; fill < 128; fill += 255) {
    memset(engine.input(), fill, bytes);
    engine.Invoke();
    for (int32_t i = 0; i < engine.output_info().bytes; ++i) sink = engine.output()[i];
  }
  for (uint32_t nodes = 0; nodes < kMostCuts; ++nodes) {
    Engine::Cut cut;
    if (engine.FindCut(nodes, &cut) != Status::kOk) continue;
    memset(engine.input(), 1, bytes);
    engine.Run(cut);
    for (int32_t i = 0; i < cut.info.bytes; ++i) sink = cut.data[i];
  }
  (void)sink;
}

}  // namespace fuzz
