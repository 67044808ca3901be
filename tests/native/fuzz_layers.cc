// Loads every bundle of a corpus file (u32 length and that many bytes, again and again), and trains
// from each place where it says training can start, with several settings, on windows of its own
// making. Each lies in memory of exactly its size, so that a sanitizer sees any access beyond it.
// Prints one line a bundle: the status of ParseBundle, and how often it was trained.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "arena.h"
#include "bundle.h"
#include "interpreter.h"
#include "train/trainer.h"

namespace {

using namespace tinymia;  // NOLINT(google-build-using-namespace)

constexpr uint32_t kModelBytes = 1 << 16;
constexpr uint32_t kTrainingBytes = 1 << 21;
constexpr uint32_t kSlots = 5;
constexpr uint32_t kMaxClasses = 256;

// A block of exactly that size, aligned as flash and arenas are.
uint8_t* Memory(uint32_t bytes) {
  return static_cast<uint8_t*>(::operator new(bytes, std::align_val_t(16)));
}

void Free(uint8_t* block) { ::operator delete(block, std::align_val_t(16)); }

TrainSettings Settings(uint32_t kind) {
  TrainSettings s;
  s.seed = kind;
  s.batch = 1;
  if (kind == 1) {
    s.batch = 3;
    s.clip_norm = 1.0f;
    s.dropout = 0.5f;
    s.mixup = 0.4f;
    s.optimizer = Optimizer::kAdam;
    s.holdout = 40;
    s.patience = 1;
    s.screen = 30;
  } else if (kind == 2) {
    s.trained = Trained::kBiases;
    s.batch = 2;
    s.clip_norm = 0.5f;
    s.noise_multiplier = 1.0f;
    s.expected_members = kSlots;
    s.optimizer = Optimizer::kMomentum;
  }
  return s;
}

bool TrainFrom(const BundleView& view, Interpreter* interpreter, uint32_t first, uint32_t kind) {
  Interpreter::Cut cut;
  if (interpreter->FindCut(view.graph.layers[first].cut, &cut) != Status::kOk) return false;
  if (static_cast<uint32_t>(cut.info.bytes) != view.graph.layers[first].inputs()) return false;
  ExampleStore store;
  store.Plan(interpreter, cut, kind == 1);
  const TrainSettings settings = Settings(kind);
  Arena counter(nullptr, 0);
  Trainer<float> trainer;
  trainer.Plan(view.graph, first, &settings, 1, &store, kSlots, &counter);
  if (counter.used() > kTrainingBytes) return false;
  // Just what was counted must do.
  uint8_t* memory = Memory(counter.used());
  uint8_t* slots = Memory(store.BytesFor(kSlots));
  Arena arena(memory, counter.used());
  if (!trainer.Plan(view.graph, first, &settings, 1, &store, kSlots, &arena)) std::abort();
  store.Place(slots, kSlots);
  const auto bytes = static_cast<uint32_t>(interpreter->input_info().bytes);
  auto* window = static_cast<int8_t*>(std::malloc(bytes));
  for (uint32_t i = 0; i < kSlots; ++i) {
    for (uint32_t j = 0; j < bytes; ++j) window[j] = static_cast<int8_t>(j * 37 + i * 101);
    store.Put(i, window, static_cast<uint8_t>(i % view.graph.classes()));
  }
  const uint8_t all = (1 << kSlots) - 1;
  store.Select(&all, 1);
  const SecretKey key = {};
  const uint8_t* members = store.bitmap();
  trainer.Begin(&settings, &key, &members);
  TrainResult result;
  trainer.Train(1, &result);
  float answer[kMaxClasses];
  trainer.Answer(store.FeaturesOf(window), answer);
  volatile uint64_t sink = trainer.Hash(0);
  (void)sink;
  std::free(window);
  Free(slots);
  Free(memory);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::FILE* file = std::fopen(argv[1], "rb");
  if (file == nullptr) return 2;
  uint8_t* arena_block = Memory(kModelBytes);
  uint32_t size = 0;
  while (std::fread(&size, sizeof(size), 1, file) == 1) {
    uint8_t* data = Memory(size);
    if (std::fread(data, 1, size, file) != size) return 2;
    BundleView view;
    const Refusal refusal = ParseBundle(data, size, &view);
    uint32_t trained = 0;
    Arena arena(arena_block, kModelBytes);
    Interpreter interpreter;
    if (refusal.status == Status::kOk && view.graph.count != 0 &&
        interpreter.Load(view.model, view.model_size, &arena) == Status::kOk) {
      for (uint32_t first = 0; first < view.graph.count; ++first) {
        for (uint32_t kind = 0; kind < 3 && view.graph.CanStartAt(first); ++kind) {
          trained += TrainFrom(view, &interpreter, first, kind) ? 1 : 0;
        }
      }
    }
    std::printf("%d %u\n", static_cast<int>(refusal.status), trained);
    Free(data);
  }
  Free(arena_block);
  std::fclose(file);
  return 0;
}
