// The core's training for lanes of devices, compiled once an instruction set (see isa.h). No code
// of the standard library is used here: its inline functions would be shared between the sets.
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "crc32.h"
#include "interpreter.h"
#include "isa.h"
#include "load.h"
#include "philox.h"
#include "train/trainer.h"
#include "vec.h"

namespace twin {
namespace {

using tinymia::Arena;
using tinymia::ExampleStore;
using tinymia::Interpreter;
using tinymia::SecretKey;
using tinymia::Status;
using tinymia::TrainResult;
using tinymia::TrainSettings;

#if TWIN_LANES == 1
using F = float;
#else
using F = tinymia::Vec<TWIN_LANES>;
#endif
using Trainer = tinymia::Trainer<F>;
constexpr uint32_t kLanes = TWIN_LANES;

// A block that grows; its content is lost then.
class Block {
 public:
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { free(memory_); }

  bool Reserve(uint64_t size) {
    constexpr uint64_t kAlign = 64;
    constexpr uint64_t kMost = 0xFFFFFF00u;  // what an arena can count
    if (size <= size_) return true;
    if (size > kMost) return false;
    free(memory_);
    const uint64_t rounded = (size + kAlign - 1) / kAlign * kAlign;
    memory_ = static_cast<uint8_t*>(aligned_alloc(kAlign, rounded));
    size_ = memory_ == nullptr ? 0 : static_cast<uint32_t>(rounded);
    if (memory_ != nullptr) memset(memory_, 0, rounded);
    return memory_ != nullptr;
  }
  uint8_t* data() { return memory_; }
  uint32_t size() const { return size_; }

 private:
  uint8_t* memory_ = nullptr;
  uint32_t size_ = 0;
};

// A bundle's int8 network up to a boundary.
struct Backbone {
  tinymia::BundleView bundle;
  Interpreter interpreter;
  Interpreter::Cut cut;
  uint32_t first_layer = 0;
  Block arena;

  Shape Load(const uint8_t* data, uint32_t size, uint32_t wanted) {
    Shape shape = {};
    const tinymia::Refusal refusal = ParseBundle(data, size, &bundle);
    if (refusal.status != Status::kOk) return Fail(refusal.status, refusal.a, refusal.b);
    Status status = LoadModel();
    if (status != Status::kOk)
      return Fail(status, interpreter.refusal().a, interpreter.refusal().b);
    if (interpreter.input_count() != 1 || interpreter.output_count() != 1) {
      return Fail(Status::kModelEnds, interpreter.input_count(), interpreter.output_count());
    }
    if (interpreter.odd_end() != tinymia::kNowhere) {
      return Fail(Status::kModelUnsupportedType, tinymia::kNowhere, interpreter.odd_end());
    }
    const tinymia::Graph& graph = bundle.graph;
    if (graph.count == 0) return Fail(Status::kNoTail);
    first_layer = wanted == kLastLayer ? graph.count - 1 : wanted;
    if (!graph.CanStartAt(first_layer)) return Fail(Status::kBadLayer, first_layer, graph.count);
    if (interpreter.FindCut(graph.layers[first_layer].cut, &cut) != Status::kOk ||
        static_cast<uint32_t>(cut.info.bytes) != graph.layers[first_layer].inputs()) {
      return Fail(Status::kBadLayer, first_layer, graph.count);
    }
    shape.input_bytes = static_cast<uint32_t>(interpreter.input_info().bytes);
    shape.slot_bytes = static_cast<uint32_t>(cut.info.bytes);
    shape.classes = graph.classes();
    shape.layers = graph.count;
    shape.weights = graph.TrainedCount(first_layer, tinymia::Trained::kWeights);
    shape.biases = graph.TrainedCount(first_layer, tinymia::Trained::kBiases);
    for (uint32_t i = 0; i < graph.count && i < 256; ++i) {
      shape.boundaries[i / 64] |= static_cast<uint64_t>(graph.CanStartAt(i) ? 1 : 0) << i % 64;
    }
    shape.first_layer = first_layer;
    shape.cut = graph.layers[first_layer].cut;
    shape.references = bundle.references.At(first_layer);
    shape.labelled = bundle.references.LabelledAt(first_layer);
    shape.classifiers = bundle.classifiers.count;
    shape.scale = cut.info.scale;
    shape.zero_point = cut.info.zero_point;
    return shape;
  }

  const int8_t* Run(const int8_t* window) {
    memcpy(interpreter.input(), window, static_cast<uint32_t>(interpreter.input_info().bytes));
    interpreter.Run(cut);
    return cut.data;
  }

 private:
  static Shape Fail(Status status, uint32_t a = 0, uint32_t b = 0) {
    Shape shape = {};
    shape.status = static_cast<uint8_t>(status);
    shape.a = a;
    shape.b = b;
    return shape;
  }

  Status LoadModel() {
    constexpr uint64_t kFirst = 256 * 1024;
    constexpr uint64_t kMost = 1u << 30;
    for (uint64_t size = kFirst; size <= kMost;) {
      if (!arena.Reserve(size)) return Status::kArenaTooSmall;
      Arena trial(arena.data(), arena.size());
      const Status status = interpreter.Load(bundle.model, bundle.model_size, &trial);
      if (status != Status::kArenaTooSmall) return status;
      size = trial.used() > 2 * size ? trial.used() : 2 * size;
    }
    return Status::kArenaTooSmall;
  }
};

class Worker {
 public:
  bool Open(const Problem& problem) {
    problem_ = problem;
    const Shape shape = backbone_.Load(problem.bundle, problem.bundle_size, problem.first_layer);
    if (shape.status != 0) return false;
    // For this store the embeddings are the input: nothing lies before them.
    Interpreter::Cut embedded = backbone_.cut;
    embedded.nodes = 0;
    const uint32_t window = shape.input_bytes;
    return Fill(problem.features, shape.slot_bytes, embedded, &features_, &features_memory_) &&
           (problem.windows == nullptr ||
            Fill(problem.windows, window, backbone_.cut, &windows_, &windows_memory_));
  }

  bool Run(const Fleet& fleet, const uint32_t* devices, uint32_t count) {
    fleet_ = &fleet;
    const auto* all = static_cast<const TrainSettings*>(fleet.settings);
    bool augments = false;
    for (uint32_t l = 0; l < kLanes; ++l) {
      // Lanes that are left over do what the last device does.
      device_[l] = devices[l < count ? l : count - 1];
      settings_[l] = all[device_[l]];
      keys_[l] = tinymia::KeyFromSeed(settings_[l].seed);
      members_[l] = fleet.members + static_cast<size_t>(device_[l]) * fleet.bitmap_bytes;
      augments = augments || settings_[l].augments();
    }
    used_ = count;
    // (Who calls checks this.)
    const tinymia::References& references = backbone_.bundle.references;
    const uint32_t known = references.At(backbone_.first_layer);
    const uint32_t labelled = references.LabelledAt(backbone_.first_layer);
    for (const TrainSettings& s : settings_) {
      if (s.references > (s.mmd > 0 ? labelled : known)) return false;
      if (s.adversary > 0 && backbone_.bundle.classifiers.count == 0) return false;
    }
    if (!Plan(augments && problem_.windows != nullptr ? &windows_ : &features_)) return false;
    trainer_.Begin(settings_, keys_, members_);
    for (uint32_t l = 0; l < kLanes && fleet.starts != nullptr; ++l) {
      trainer_.Start(l, fleet.starts + static_cast<size_t>(device_[l]) * fleet.start_stride);
    }
    const uint32_t epochs =
        fleet.checkpoint_count == 0 ? 0 : fleet.checkpoints[fleet.checkpoint_count - 1];
    uint32_t next = 0;
    for (uint32_t epoch = 0;; ++epoch) {
      for (; next < fleet.checkpoint_count && fleet.checkpoints[next] == epoch; ++next) {
        Check(next);
      }
      if (epoch == epochs || __atomic_load_n(fleet.cancelled, __ATOMIC_RELAXED)) break;
      trainer_.Train(1, results_);
      Note(epoch, epochs);
    }
    if (fleet.parameters != nullptr) WriteParameters();
    return true;
  }

 private:
  bool Fill(const int8_t* rows, uint32_t row_bytes, const Interpreter::Cut& cut,
            ExampleStore* store, Block* memory) {
    store->Plan(&backbone_.interpreter, cut, true);
    if (!memory->Reserve(store->BytesFor(problem_.count))) return false;
    store->Place(memory->data(), problem_.count);
    for (uint32_t i = 0; i < problem_.count; ++i) {
      store->Put(i, rows + static_cast<size_t>(i) * row_bytes, problem_.labels[i]);
    }
    return true;
  }

  bool Plan(ExampleStore* store) {
    trainer_.Refer(backbone_.bundle.references, backbone_.bundle.classifiers);
    for (;;) {
      Arena arena(work_.data(), work_.size());
      if (trainer_.Plan(backbone_.bundle.graph, backbone_.first_layer, settings_, kLanes, store,
                        problem_.count, &arena)) {
        return true;
      }
      if (arena.used() <= work_.size() || !work_.Reserve(arena.used())) return false;
    }
  }

  void Note(uint32_t epoch, uint32_t epochs) {
    for (uint32_t l = 0; l < used_; ++l) {
      const size_t at = static_cast<size_t>(device_[l]) * epochs + epoch;
      fleet_->losses[at] = tinymia::Canonical(results_[l].loss);
      fleet_->held_out[at] = tinymia::Canonical(results_[l].held_out);
      fleet_->steps[at] = results_[l].steps;
      fleet_->clipped[at] = results_[l].clipped;
      fleet_->stopped[device_[l]] = static_cast<uint8_t>(results_[l].stopped);
    }
  }

  void Check(uint32_t checkpoint) {
    const uint32_t classes = backbone_.bundle.graph.classes();
    uint64_t hashes[kLanes];
    float* out[kLanes] = {};
    trainer_.Hashes(hashes);
    for (uint32_t l = 0; l < used_; ++l) {
      const size_t row = static_cast<size_t>(device_[l]) * fleet_->checkpoint_count + checkpoint;
      fleet_->hashes[row] = hashes[l];
      out[l] = fleet_->probabilities + row * problem_.query_count * classes;
    }
    const int8_t* queries = problem_.queries;
    for (uint32_t left = problem_.query_count; left != 0;) {
      const uint32_t n = left < trainer_.most_answers() ? left : trainer_.most_answers();
      const F* answers = trainer_.AnswerTogether(queries, n);
      for (uint32_t i = 0; i < n * classes; ++i) {
        const F value = tinymia::Canonical(answers[i]);
        for (uint32_t l = 0; l < used_; ++l) *out[l]++ = tinymia::GetLane(value, l);
      }
      queries += static_cast<size_t>(n) * features_.slot_bytes();
      left -= n;
    }
  }

  void WriteParameters() {
    for (uint32_t i = 0; i < trainer_.parameter_count(); ++i) {
      const F value = tinymia::Canonical(trainer_.parameters()[i]);
      for (uint32_t l = 0; l < used_; ++l) {
        fleet_->parameters[static_cast<size_t>(device_[l]) * fleet_->parameter_stride + i] =
            tinymia::GetLane(value, l);
      }
    }
  }

  Problem problem_ = {};
  Backbone backbone_;
  ExampleStore features_, windows_;
  Block features_memory_, windows_memory_, work_;
  Trainer trainer_;
  const Fleet* fleet_ = nullptr;
  uint32_t used_ = 0;
  uint32_t device_[kLanes] = {};
  TrainSettings settings_[kLanes];
  SecretKey keys_[kLanes] = {};
  const uint8_t* members_[kLanes] = {};
  TrainResult results_[kLanes];
};

Shape Describe(const uint8_t* bundle, uint32_t size, uint32_t first_layer) {
  Backbone backbone;
  return backbone.Load(bundle, size, first_layer);
}

bool Embed(const uint8_t* bundle, uint32_t size, uint32_t first_layer, const int8_t* windows,
           uint32_t count, int8_t* out) {
  Backbone backbone;
  const Shape shape = backbone.Load(bundle, size, first_layer);
  if (shape.status != 0) return false;
  for (uint32_t i = 0; i < count; ++i, windows += shape.input_bytes, out += shape.slot_bytes) {
    memcpy(out, backbone.Run(windows), shape.slot_bytes);
  }
  return true;
}

void* Create(const Problem* problem) {
  auto* worker = new Worker;
  if (worker->Open(*problem)) return worker;
  delete worker;
  return nullptr;
}

void Destroy(void* worker) { delete static_cast<Worker*>(worker); }

bool Run(void* worker, const Fleet* fleet, const uint32_t* devices, uint32_t count) {
  return static_cast<Worker*>(worker)->Run(*fleet, devices, count);
}

}  // namespace

extern const Isa TWIN_ISA;
const Isa TWIN_ISA = {TWIN_NAME, kLanes, &Describe, &Embed, &Create, &Destroy, &Run};

}  // namespace twin
