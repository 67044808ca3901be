// The twin's lanes as a program for another machine than this, see tests/test_neon.py. What it is
// asked comes on stdin and what it finds goes to stdout, as arrays in the order below.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "isa.h"
#include "train/settings.h"

extern "C" {
void vec_differences(const float* x, uint32_t n, uint32_t* wrong);
uint32_t vec_rows(const int8_t* rows, uint32_t n, float scale, int32_t zero_point);
uint32_t vec_dropout(const uint64_t* seeds, const float* rates, const uint32_t* positions,
                     uint32_t epoch, uint32_t n);
uint32_t vec_shuffle(const uint64_t* seeds, const uint32_t* counts, uint32_t epoch);
uint32_t vec_masks(const uint8_t* bits);
}

namespace twin {
extern const Isa kScalar;
extern const Isa kVector4;
}  // namespace twin

namespace {

template <typename T>
std::vector<T> Read(size_t count) {
  std::vector<T> data(count);
  if (fread(data.data(), sizeof(T), count, stdin) != count) {
    fputs("the input is too short\n", stderr);
    exit(2);
  }
  return data;
}

template <typename T>
void Write(const std::vector<T>& data) {
  fwrite(data.data(), sizeof(T), data.size(), stdout);
}

// Bundles are read at 16-byte alignment, which memory of the heap has.
std::vector<uint8_t> ReadBundle() { return Read<uint8_t>(Read<uint32_t>(1)[0]); }

int Embed(const twin::Isa& isa) {
  const std::vector<uint8_t> bundle = ReadBundle();
  const std::vector<uint32_t> s = Read<uint32_t>(4);
  const uint32_t layer = s[0], count = s[1], in = s[2], out = s[3];
  const std::vector<int8_t> windows = Read<int8_t>(static_cast<size_t>(count) * in);
  std::vector<int8_t> features(static_cast<size_t>(count) * out);
  if (!isa.embed(bundle.data(), static_cast<uint32_t>(bundle.size()), layer, windows.data(), count,
                 features.data())) {
    return 1;
  }
  Write(features);
  return 0;
}

int Train(const twin::Isa& isa) {
  const std::vector<uint8_t> bundle = ReadBundle();
  const std::vector<uint32_t> s = Read<uint32_t>(13);
  const uint32_t layer = s[0], windows_size = s[1], features_size = s[2], examples = s[3],
                 queries_size = s[4], query_count = s[5], devices = s[6], bitmap = s[7],
                 checkpoint_count = s[8], groups = s[9], parameters_each = s[10], classes = s[11],
                 epochs = s[12];
  const std::vector<int8_t> windows = Read<int8_t>(windows_size);
  const std::vector<int8_t> features = Read<int8_t>(features_size);
  const std::vector<uint8_t> labels = Read<uint8_t>(examples);
  const std::vector<int8_t> queries = Read<int8_t>(queries_size);
  const std::vector<tinymia::TrainSettings> settings = Read<tinymia::TrainSettings>(devices);
  const std::vector<uint8_t> members = Read<uint8_t>(static_cast<size_t>(devices) * bitmap);
  const std::vector<uint32_t> checkpoints = Read<uint32_t>(checkpoint_count);
  const std::vector<uint32_t> order = Read<uint32_t>(devices);
  const std::vector<uint32_t> starts = Read<uint32_t>(groups + 1);

  const size_t answers = static_cast<size_t>(checkpoint_count) * query_count * classes;
  std::vector<float> parameters(static_cast<size_t>(devices) * parameters_each);
  std::vector<float> probabilities(devices * answers);
  std::vector<uint64_t> hashes(static_cast<size_t>(devices) * checkpoint_count);
  const size_t each = static_cast<size_t>(devices) * epochs;
  std::vector<float> losses(each), held_out(each);
  std::vector<uint32_t> steps(each), clipped(each);
  std::vector<uint8_t> stopped(devices);

  twin::Problem problem = {};
  problem.bundle = bundle.data();
  problem.bundle_size = static_cast<uint32_t>(bundle.size());
  problem.first_layer = layer;
  problem.windows = windows.empty() ? nullptr : windows.data();
  problem.features = features.data();
  problem.labels = labels.data();
  problem.count = examples;
  problem.queries = queries.data();
  problem.query_count = query_count;
  const bool cancelled = false;
  twin::Fleet fleet = {};
  fleet.settings = settings.data();
  fleet.members = members.data();
  fleet.bitmap_bytes = bitmap;
  fleet.checkpoints = checkpoints.data();
  fleet.checkpoint_count = checkpoint_count;
  fleet.parameter_stride = parameters_each;
  fleet.parameters = parameters.empty() ? nullptr : parameters.data();
  fleet.probabilities = probabilities.data();
  fleet.hashes = hashes.data();
  fleet.losses = losses.data();
  fleet.held_out = held_out.data();
  fleet.steps = steps.data();
  fleet.clipped = clipped.data();
  fleet.stopped = stopped.data();
  fleet.cancelled = &cancelled;

  void* worker = isa.create(&problem);
  if (worker == nullptr) return 1;
  for (uint32_t g = 0; g < groups; ++g) {
    if (!isa.run(worker, &fleet, order.data() + starts[g], starts[g + 1] - starts[g])) return 1;
  }
  isa.destroy(worker);
  Write(parameters);
  Write(probabilities);
  Write(hashes);
  Write(losses);
  Write(held_out);
  Write(steps);
  Write(clipped);
  Write(stopped);
  return 0;
}

// How much the vectors' lanes differ from floats, see tests/native/vec_shim.cc.
int Vectors() {
  const uint32_t count = Read<uint32_t>(1)[0];
  const std::vector<float> x = Read<float>(count);
  const std::vector<uint64_t> seeds = Read<uint64_t>(16);
  const std::vector<uint32_t> counts = Read<uint32_t>(16);
  const std::vector<float> rates = Read<float>(16);
  const std::vector<int8_t> rows = Read<int8_t>(16 * 87);
  std::vector<uint32_t> wrong(7);
  vec_differences(x.data(), count, wrong.data());
  wrong.push_back(vec_rows(rows.data(), 87, 0.037f, -5));
  for (const uint32_t n : {1u, 4u, 67u}) {
    wrong.push_back(vec_dropout(seeds.data(), rates.data(), counts.data(), 9, n));
  }
  wrong.push_back(vec_shuffle(seeds.data(), counts.data(), 7));
  for (uint8_t bits = 0; bits < 16; ++bits) {
    const uint8_t lanes[16] = {static_cast<uint8_t>(bits & 1), static_cast<uint8_t>(bits & 2),
                               static_cast<uint8_t>(bits & 4), static_cast<uint8_t>(bits & 8)};
    wrong.push_back(vec_masks(lanes));
  }
  Write(wrong);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[1] : "";
  const twin::Isa& isa = argc == 3 && argv[2][0] == '1' ? twin::kScalar : twin::kVector4;
  if (what == "embed") return Embed(isa);
  if (what == "train") return Train(isa);
  if (what == "vectors") return Vectors();
  fputs("lanes embed|train|vectors LANES\n", stderr);
  return 2;
}
