#include "bundle.h"

#include <string.h>

#include "cold.h"
#include "crc32.h"

namespace tinymia {
namespace {

constexpr uint32_t kHeaderBytes = 32;
constexpr uint32_t kRowBytes = 16;
constexpr uint16_t kVersion = 2;
constexpr uint32_t kMaxClasses = 256;
constexpr uint32_t kMaxDim = 4096;

uint32_t U32(const uint8_t* at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

uint16_t U16(const uint8_t* at) {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

constexpr uint32_t kMaxLayers = 64;
constexpr uint32_t kLayersHeaderBytes = 16;

// Whether output position `last` of a dimension still reads some of its input, and the first, too.
TINYMIA_AT_LOAD bool WindowsTouch(uint32_t in, uint32_t out, uint32_t kernel, uint32_t stride,
                                  uint32_t pad) {
  if (in == 0 || out == 0 || kernel == 0 || stride == 0 || pad >= kernel) return false;
  const uint64_t last = static_cast<uint64_t>(out - 1) * stride;
  return last < static_cast<uint64_t>(in) + pad;
}

TINYMIA_AT_LOAD bool CheckSpatial(const Layer& l) {
  return WindowsTouch(l.in_h, l.out_h, l.kernel_h, l.stride_h, l.pad_top) &&
         WindowsTouch(l.in_w, l.out_w, l.kernel_w, l.stride_w, l.pad_left);
}

TINYMIA_AT_LOAD uint64_t Product(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return static_cast<uint64_t>(a) * b > UINT32_MAX       ? UINT64_MAX
         : static_cast<uint64_t>(a) * b * c > UINT32_MAX ? UINT64_MAX
                                                         : static_cast<uint64_t>(a) * b * c * d;
}

// The kind's own rules, and how many weights it has.
TINYMIA_AT_LOAD bool CheckKind(const Layer& l, uint64_t* weights) {
  *weights = 0;
  const bool same_size = l.in_h == l.out_h && l.in_w == l.out_w && l.in_c == l.out_c;
  switch (l.kind) {
    case LayerKind::kDense:
      *weights = Product(l.in_h, l.in_w, l.in_c, l.out_c);
      return l.out_h == 1 && l.out_w == 1;
    case LayerKind::kConv:
      *weights = Product(l.kernel_h, l.kernel_w, l.in_c, l.out_c);
      return CheckSpatial(l);
    case LayerKind::kDepthwise:
      *weights = Product(l.kernel_h, l.kernel_w, l.out_c, 1);
      return l.in_c != 0 && l.out_c % l.in_c == 0 && CheckSpatial(l);
    case LayerKind::kAveragePool:
    case LayerKind::kMaxPool:
      return l.in_c == l.out_c && CheckSpatial(l);
    case LayerKind::kAdd:
      return same_size;
    default:
      return false;
  }
}

uint32_t OutputsOf(const Layer* layers, uint32_t number) {
  return number == 0 ? layers[0].inputs() : layers[number - 1].outputs();
}

TINYMIA_AT_LOAD bool CheckLayer(const Layer* layers, uint32_t i, uint32_t parameters) {
  const Layer& l = layers[i];
  constexpr uint32_t kMaxValues = 1u << 24;
  if (l.activation > Activation::kRelu6 || l.reserved != 0 || l.reserved2 != 0) return false;
  if (Product(l.in_h, l.in_w, l.in_c, 1) - 1 >= kMaxValues) return false;
  if (Product(l.out_h, l.out_w, l.out_c, 1) - 1 >= kMaxValues) return false;
  uint64_t weights = 0;
  if (!CheckKind(l, &weights) || weights != l.weight_count) return false;
  if (l.bias_count != (weights == 0 ? 0u : l.out_c)) return false;
  if (l.weights > parameters || l.weight_count > parameters - l.weights ||
      l.bias_count > parameters - l.weights - l.weight_count) {
    return false;
  }
  if (l.input > i || OutputsOf(layers, l.input) != l.inputs()) return false;
  if (l.kind != LayerKind::kAdd) return l.other == 0;
  return l.other <= i && OutputsOf(layers, l.other) == l.inputs();
}

// Whether one tensor, the layer's input, is all that layers from `first` on read of what is before.
TINYMIA_AT_LOAD bool CanCut(const Layer* layers, uint32_t count, uint32_t first) {
  const uint8_t input = layers[first].input;
  for (uint32_t i = first; i < count; ++i) {
    const Layer& l = layers[i];
    if (l.input <= first && l.input != input) return false;
    if (l.kind == LayerKind::kAdd && l.other <= first && l.other != input) return false;
  }
  return true;
}

TINYMIA_AT_LOAD bool ParseLayers(const uint8_t* data, uint32_t size, BundleView* view) {
  if (size < kLayersHeaderBytes || view->graph.count != 0) return false;
  const uint32_t count = U32(data);
  const uint32_t parameters = U32(data + 4);
  if (count == 0 || count > kMaxLayers || parameters > UINT32_MAX / 8) return false;
  const uint32_t records = count * static_cast<uint32_t>(sizeof(Layer));
  if (size != static_cast<uint64_t>(kLayersHeaderBytes) + records + 4ull * parameters) return false;
  // Sections are 16-byte aligned, so these are aligned too.
  const auto* layers = reinterpret_cast<const Layer*>(data + kLayersHeaderBytes);
  const uint8_t* floats = data + kLayersHeaderBytes + records;
  uint32_t cut = 0;
  uint32_t left = parameters;  // layers share none, so their number cannot grow beyond these
  for (uint32_t i = 0; i < count; ++i) {
    if (!CheckLayer(layers, i, parameters)) return false;
    if (layers[i].weight_count + layers[i].bias_count > left) return false;
    left -= layers[i].weight_count + layers[i].bias_count;
    if (layers[i].cut == kNoCut) continue;
    if (layers[i].cut < cut || !CanCut(layers, count, i)) return false;
    cut = layers[i].cut;
  }
  const Layer& last = layers[count - 1];
  if (last.kind != LayerKind::kDense || last.activation != Activation::kNone || last.out_c < 2 ||
      last.out_c > kMaxClasses || last.inputs() > kMaxDim || last.cut == kNoCut) {
    return false;
  }
  for (uint32_t i = 0; i < parameters; ++i) {
    if ((U32(floats + 4 * i) & 0x7F800000u) == 0x7F800000u) return false;  // NaN or infinite
  }
  view->graph = {layers, count, reinterpret_cast<const float*>(floats), {}};
  return true;
}

// Behind the layers: u32 inputs, u32 rows, u32 reserved[2] = 0, f32 mean[inputs],
// f32 rows[rows][inputs].
bool ParseShape(const uint8_t* data, uint32_t size, BundleView* view) {
  Graph& graph = view->graph;
  if (graph.count == 0 || graph.shape.count != 0 || size < kLayersHeaderBytes) return false;
  const uint32_t inputs = U32(data);
  const uint32_t rows = U32(data + 4);
  if (inputs != graph.layers[graph.count - 1].inputs() || rows == 0 || rows > inputs) return false;
  if (U32(data + 8) != 0 || U32(data + 12) != 0) return false;
  const uint64_t values = static_cast<uint64_t>(inputs) * (rows + 1);
  if (size != kLayersHeaderBytes + 4 * values) return false;
  const uint8_t* floats = data + kLayersHeaderBytes;
  for (uint32_t i = 0; i < values; ++i) {
    if ((U32(floats + 4 * i) & 0x7F800000u) == 0x7F800000u) return false;  // NaN or infinite
  }
  const auto* mean = reinterpret_cast<const float*>(floats);
  graph.shape = {mean, mean + inputs, rows};
  return true;
}

TINYMIA_AT_LOAD bool ParseBudget(const uint8_t* data, uint32_t size, BundleView* view) {
  if (size != sizeof(Budget) || view->budget != nullptr) return false;
  const auto* budget = reinterpret_cast<const Budget*>(data);
  // Written so that NaN fails.
  if (!(budget->noise_multiplier > 0.0f && budget->noise_multiplier <= 64.0f)) return false;
  if (!(budget->max_rate > 0.0f && budget->max_rate <= 1.0f)) return false;
  view->budget = budget;
  return true;
}

TINYMIA_AT_LOAD bool ParseAnswers(const uint8_t* data, uint32_t size, BundleView* view) {
  AnswerRule rule;
  if (size != sizeof rule) return false;
  memcpy(&rule, data, sizeof rule);
  const bool counts = rule.policy == kRoundedAnswers || rule.policy == kTopKAnswers;
  if (rule.policy > kTopKAnswers || rule.reserved[0] != 0 || rule.reserved[1] != 0) return false;
  if (counts ? rule.levels - 1 >= UINT16_MAX : rule.levels != 0) return false;
  view->answers = rule;
  return true;
}

bool ParseGuard(const uint8_t* data, uint32_t size, BundleView* view) {
  if (size != kGuardBytes) return false;
  view->guard = ReadGuard(data);
  return CheckGuard(view->guard) == GuardSetting::kNone;
}

// What sections say of each other.
bool Agree(const BundleView& view) {
  const uint32_t classes = view.graph.count == 0 ? 0 : view.graph.classes();
  const Classifiers& classifiers = view.classifiers;
  const References& references = view.references;
  if (references.count != 0 && (!view.graph.CanStartAt(references.layer) ||
                                view.graph.layers[references.layer].inputs() != references.width)) {
    return false;
  }
  for (uint32_t i = 0; references.labels != nullptr && i < references.count; ++i) {
    if (references.labels[i] >= classes) return false;
  }
  const AnswerRule& rule = view.answers;
  const bool shown = rule.policy != kTopKAnswers || classes == 0 || rule.levels <= classes;
  return shown && view.guard.classifier <= classifiers.count &&
         (classifiers.count == 0 || classifiers.first.classes == classes);
}

bool ParseUpdates(const uint8_t* data, uint32_t size, BundleView* view) {
  if (size != sizeof(UpdateRule) || view->updates != nullptr) return false;
  const auto* rule = reinterpret_cast<const UpdateRule*>(data);
  // Written so that NaN fails.
  if (!(rule->clip_norm >= 1e-6f && rule->clip_norm <= 1e6f)) return false;
  if (!(rule->noise >= 0.0f && rule->noise <= 64.0f) || rule->masked > 1) return false;
  view->updates = rule;
  return true;
}

}  // namespace

TINYMIA_AT_LOAD Refusal ParseBundle(const uint8_t* data, uint32_t room, BundleView* view) {
  *view = BundleView();
  if (room < kHeaderBytes || memcmp(data, "TMIABNDL", 8) != 0) return {Status::kNoBundle, 0, 0};
  if (U16(data + 8) != kVersion) return {Status::kBundleVersion, U16(data + 8), kVersion};
  const uint32_t sections = U16(data + 10);
  const uint32_t size = U32(data + 12);
  if (size > room) return {Status::kBundleTruncated, size, room};
  const uint32_t table_end = kHeaderBytes + sections * kRowBytes;
  if (size < table_end) return {Status::kBundleTruncated, table_end, size};
  const uint32_t crc = Crc32(data + kHeaderBytes, size - kHeaderBytes);
  if (crc != U32(data + 16)) return {Status::kBundleChecksum, crc, U32(data + 16)};
  view->size = size;
  view->crc = crc;

  uint32_t last = table_end;
  bool has_answers = false;
  bool has_guard = false;
  for (uint32_t i = 0; i < sections; ++i) {
    const uint8_t* row = data + kHeaderBytes + i * kRowBytes;
    const uint32_t offset = U32(row + 4);
    const uint32_t bytes = U32(row + 8);
    if (offset < last || offset % 16 != 0 || offset > size || bytes > size - offset) {
      return {Status::kBundleMalformed, i, 0};
    }
    last = offset + bytes;
    if (memcmp(row, "MODL", 4) == 0) {
      if (view->model != nullptr) return {Status::kBundleMalformed, i, 0};
      view->model = data + offset;
      view->model_size = bytes;
    } else if (memcmp(row, "LAYR", 4) == 0) {
      if (!ParseLayers(data + offset, bytes, view)) return {Status::kBundleMalformed, i, 0};
    } else if (memcmp(row, "SHAP", 4) == 0) {
      if (!ParseShape(data + offset, bytes, view)) return {Status::kBundleMalformed, i, 0};
    } else if (memcmp(row, "BUDG", 4) == 0) {
      if (!ParseBudget(data + offset, bytes, view)) return {Status::kBundleMalformed, i, 0};
    } else if (memcmp(row, "SHAR", 4) == 0) {
      if (!ParseUpdates(data + offset, bytes, view)) return {Status::kBundleMalformed, i, 0};
    } else if (memcmp(row, "POLI", 4) == 0) {
      if (has_answers || !ParseAnswers(data + offset, bytes, view)) {
        return {Status::kBundleMalformed, i, 0};
      }
      has_answers = true;
    } else if (memcmp(row, "GARD", 4) == 0) {
      if (has_guard || !ParseGuard(data + offset, bytes, view)) {
        return {Status::kBundleMalformed, i, 0};
      }
      has_guard = true;
    } else if (memcmp(row, "CLSF", 4) == 0) {
      if (!ParseClassifiers(data + offset, bytes, &view->classifiers)) {
        return {Status::kBundleMalformed, i, 0};
      }
    } else if (memcmp(row, "REFS", 4) == 0) {
      if (!ParseReferences(data + offset, bytes, &view->references)) {
        return {Status::kBundleMalformed, i, 0};
      }
    }
  }
  if (view->model == nullptr || !Agree(*view)) return {Status::kBundleMalformed, sections, 0};
  return {};
}

}  // namespace tinymia
