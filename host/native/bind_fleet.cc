// What the module offers over many devices. Its callers in Python check shapes and values first.
#include "bind_fleet.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "board.h"
#include "call.h"
#include "engine.h"
#include "isa.h"
#include "train/settings.h"

namespace nb = nanobind;

namespace {

using tinymia::TrainSettings;

template <typename T, size_t kDimensions>
using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu, nb::ndim<kDimensions>>;

const twin::Isa* FindIsa(const std::string& name) {
  for (size_t i = 0; i < twin::kIsaCount; ++i) {
    if (name == twin::kIsas[i].isa->name) return twin::kIsas[i].isa;
  }
  throw std::invalid_argument("unknown instruction set");
}

nb::list Isas() {
  nb::list all;
  for (size_t i = 0; i < twin::kIsaCount; ++i) {
    const twin::IsaEntry& entry = twin::kIsas[i];
    all.append(nb::make_tuple(entry.isa->name, entry.isa->lanes, entry.supported()));
  }
  return all;
}

// The layout of TrainSettings: (name, NumPy format, offset) of every field, in the order of
// Setting.
nb::list SettingsFields() {
  nb::list all;
  for (const tinymia::SettingField& field : tinymia::kSettingFields) {
    all.append(nb::make_tuple(field.name, field.format, field.offset));
  }
  return all;
}

const TrainSettings* AsSettings(const Array<const uint8_t, 2>& settings) {
  if (settings.shape(1) != sizeof(TrainSettings)) throw std::invalid_argument("settings' size");
  return reinterpret_cast<const TrainSettings*>(settings.data());
}

// (device, number of the setting) of the first that is out of range; (-1, 0): none.
nb::tuple CheckSettings(const Array<const uint8_t, 2>& settings) {
  const TrainSettings* all = AsSettings(settings);
  for (size_t i = 0; i < settings.shape(0); ++i) {
    const auto wrong = static_cast<int>(tinymia::CheckSettings(all[i]));
    if (wrong != 0) return nb::make_tuple(i, wrong);
  }
  return nb::make_tuple(-1, 0);
}

// A copy of a bundle where the core can read it.
twin::AlignedBytes Aligned(const nb::bytes& bundle) {
  twin::AlignedBytes memory = twin::AllocateAligned(bundle.size());
  std::copy_n(static_cast<const uint8_t*>(bundle.data()), bundle.size(), memory.get());
  return memory;
}

nb::dict Describe(const nb::bytes& bundle, uint32_t first_layer) {
  const twin::AlignedBytes memory = Aligned(bundle);
  const twin::Shape shape =
      FindIsa("scalar")->describe(memory.get(), static_cast<uint32_t>(bundle.size()), first_layer);
  nb::dict out;
  out["status"] = shape.status;
  out["a"] = shape.a;
  out["b"] = shape.b;
  out["input_bytes"] = shape.input_bytes;
  out["slot_bytes"] = shape.slot_bytes;
  out["classes"] = shape.classes;
  out["layers"] = shape.layers;
  out["weights"] = shape.weights;
  out["biases"] = shape.biases;
  out["first_layer"] = shape.first_layer;
  out["cut"] = shape.cut;
  out["references"] = shape.references;
  out["labelled"] = shape.labelled;
  out["classifiers"] = shape.classifiers;
  out["scale"] = shape.scale;
  out["zero_point"] = shape.zero_point;
  nb::list boundaries;
  for (uint32_t i = 0; i < shape.layers; ++i) {
    if ((shape.boundaries[i / 64] >> i % 64 & 1) != 0) boundaries.append(i);
  }
  out["boundaries"] = boundaries;
  return out;
}

void Embed(const std::string& isa, const nb::bytes& bundle, uint32_t first_layer,
           const Array<const int8_t, 2>& windows, const Array<int8_t, 2>& out) {
  const twin::AlignedBytes memory = Aligned(bundle);
  const auto size = static_cast<uint32_t>(bundle.size());
  const twin::Isa* set = FindIsa(isa);
  const auto count = static_cast<uint32_t>(windows.shape(0));
  const int8_t* from = windows.data();
  int8_t* to = out.data();
  const twin::Call call;
  const nb::gil_scoped_release release;
  if (!set->embed(memory.get(), size, first_layer, from, count, to)) {
    throw std::runtime_error("there is not enough memory");
  }
}

template <typename T>
std::vector<T> Copy(const Array<const T, 2>& rows) {
  return std::vector<T>(rows.data(), rows.data() + rows.size());
}

void MakeEngine(twin::Engine* self, const std::string& isa, const nb::bytes& bundle,
                uint32_t first_layer, const Array<const int8_t, 2>& windows,
                const Array<const int8_t, 2>& features, const Array<const uint8_t, 1>& labels,
                const Array<const int8_t, 2>& queries, uint32_t threads) {
  new (self) twin::Engine(FindIsa(isa), std::string(bundle.c_str(), bundle.size()), first_layer,
                          Copy(windows), Copy(features),
                          std::vector<uint8_t>(labels.data(), labels.data() + labels.size()),
                          Copy(queries), static_cast<uint32_t>(queries.shape(0)), threads);
}

void RunEngine(twin::Engine* self, const Array<const uint8_t, 2>& settings,
               const Array<const uint8_t, 2>& members, const std::vector<uint32_t>& checkpoints,
               const Array<const uint32_t, 1>& order, const Array<const uint32_t, 1>& starts,
               const Array<float, 2>& parameters, const Array<float, 4>& probabilities,
               const Array<uint64_t, 2>& hashes, const Array<float, 2>& losses,
               const Array<float, 2>& held_out, const Array<uint32_t, 2>& steps,
               const Array<uint32_t, 2>& clipped, const Array<uint8_t, 1>& stopped,
               const Array<const float, 2>& start, const nb::object& progress) {
  twin::Fleet fleet = {};
  fleet.settings = AsSettings(settings);
  fleet.members = members.data();
  fleet.bitmap_bytes = static_cast<uint32_t>(members.shape(1));
  fleet.checkpoints = checkpoints.data();
  fleet.checkpoint_count = static_cast<uint32_t>(checkpoints.size());
  fleet.parameter_stride = static_cast<uint32_t>(parameters.shape(1));
  // One row: all start at the same.
  fleet.starts = start.size() == 0 ? nullptr : start.data();
  fleet.start_stride = start.shape(0) == 1 ? 0 : static_cast<uint32_t>(start.shape(1));
  fleet.parameters = parameters.size() == 0 ? nullptr : parameters.data();
  fleet.probabilities = probabilities.data();
  fleet.hashes = hashes.data();
  fleet.losses = losses.data();
  fleet.held_out = held_out.data();
  fleet.steps = steps.data();
  fleet.clipped = clipped.data();
  fleet.stopped = stopped.data();
  const std::vector<uint32_t> numbers(order.data(), order.data() + order.size());
  const std::vector<uint32_t> bounds(starts.data(), starts.data() + starts.size());
  const twin::Call call;
  const nb::gil_scoped_release release;
  self->Run(fleet, numbers, bounds, [&call, &progress](size_t done) {
    call.Check();
    if (progress.is_none()) return;
    const nb::gil_scoped_acquire acquire;
    progress(done);
  });
}

}  // namespace

void twin::BindFleet(nb::module_& m) {
  m.attr("settings_size") = sizeof(TrainSettings);
  m.attr("last_layer") = twin::kLastLayer;
  m.def("isas", &Isas);
  m.def("settings_fields", &SettingsFields);
  m.def("check_settings", &CheckSettings, nb::arg("settings"));
  m.def("describe", &Describe, nb::arg("bundle"), nb::arg("first_layer"));
  m.def("embed", &Embed, nb::arg("isa"), nb::arg("bundle"), nb::arg("first_layer"),
        nb::arg("windows"), nb::arg("out"));
  nb::class_<twin::Engine>(m, "Engine")
      .def("__init__", &MakeEngine, nb::arg("isa"), nb::arg("bundle"), nb::arg("first_layer"),
           nb::arg("windows"), nb::arg("features"), nb::arg("labels"), nb::arg("queries"),
           nb::arg("threads"))
      .def("run", &RunEngine, nb::arg("settings"), nb::arg("members"), nb::arg("checkpoints"),
           nb::arg("order"), nb::arg("starts"), nb::arg("parameters"), nb::arg("probabilities"),
           nb::arg("hashes"), nb::arg("losses"), nb::arg("held_out"), nb::arg("steps"),
           nb::arg("clipped"), nb::arg("stopped"), nb::arg("start"), nb::arg("progress").none());
}
