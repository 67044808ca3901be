// What devices make of their answers before a policy cuts them, by the core's own code. Callers in
// Python check shapes and values first.
#include "bind_answer.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "answer/detector.h"
#include "answer/guard.h"
#include "board.h"
#include "call.h"

namespace nb = nanobind;

namespace {

template <typename T, size_t kDimensions>
using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu, nb::ndim<kDimensions>>;

void Guard(const nb::bytes& settings, const nb::bytes& classifiers,
           const Array<const uint64_t, 1>& seeds, uint32_t epoch,
           const Array<const int8_t, 2>& features, const Array<const float, 3>& spare,
           const Array<float, 3>& answers) {
  const tinymia::GuardSettings wanted =
      tinymia::ReadGuard(static_cast<const uint8_t*>(settings.data()));
  const twin::AlignedBytes memory = twin::AllocateAligned(classifiers.size() + 4);
  std::copy_n(static_cast<const uint8_t*>(classifiers.data()), classifiers.size(), memory.get());
  tinymia::Classifiers known;
  tinymia::Classifier classifier;
  if (wanted.classifier != 0) {
    if (!ParseClassifiers(memory.get(), static_cast<uint32_t>(classifiers.size()), &known) ||
        wanted.classifier > known.count) {
      throw std::invalid_argument("there is no such classifier");
    }
    classifier = known[wanted.classifier - 1u];
  }
  const auto n = static_cast<uint32_t>(answers.shape(2));
  const auto bytes = static_cast<uint32_t>(features.shape(1));
  const twin::Call call;
  const nb::gil_scoped_release release;
  std::vector<float> scratch(tinymia::GuardScratch(n));
  for (size_t device = 0; device < answers.shape(0); ++device) {
    call.Check();
    const tinymia::SecretKey key = tinymia::KeyFromSeed(seeds.data()[device]);
    for (size_t i = 0; i < answers.shape(1); ++i) {
      const tinymia::SecretKey query = QueryKey(key, epoch, features.data() + i * bytes, bytes);
      const float* other =
          spare.size() == 0 ? nullptr
                            : spare.data() + (device * tinymia::kSpareWindows + SpareOf(query)) * n;
      Guard(wanted, &classifier, query, other, answers.data() + (device * answers.shape(1) + i) * n,
            n, scratch.data());
    }
  }
}

// What the detectors of devices hold of each question, and which rang: 0 for none. Detectors are
// those of the guard's settings, of which nothing else counts.
void Watch(const nb::bytes& settings, const Array<const uint64_t, 1>& seeds,
           const Array<const int8_t, 2>& features, const Array<uint32_t, 3>& out) {
  const tinymia::GuardSettings wanted =
      tinymia::ReadGuard(static_cast<const uint8_t*>(settings.data()));
  const auto bytes = static_cast<uint32_t>(features.shape(1));
  const twin::Call call;
  const nb::gil_scoped_release release;
  uint32_t* at = out.data();
  for (size_t device = 0; device < seeds.shape(0); ++device) {
    call.Check();
    const tinymia::SecretKey key = tinymia::KeyFromSeed(seeds.data()[device]);
    tinymia::Detector detector;
    detector.Set(wanted);
    for (size_t i = 0; i < features.shape(0); ++i) {
      detector.See(key, features.data() + i * bytes, bytes);
      *at++ = detector.evidence().copies;
      *at++ = detector.evidence().strange;
      *at++ = detector.alarm();
    }
  }
}

void SpareWindows(const Array<int8_t, 2>& out) {
  const auto bytes = static_cast<uint32_t>(out.shape(1));
  for (uint32_t i = 0; i < out.shape(0); ++i) {
    tinymia::SpareWindow(i, bytes, out.data() + static_cast<size_t>(i) * bytes);
  }
}

// Draws of the Laplace law of answers' noise, for tests.
void LaplaceDraws(uint64_t seed, const Array<int32_t, 1>& out) {
  const nb::gil_scoped_release release;
  tinymia::SecretStream stream(tinymia::KeyFromSeed(seed), tinymia::kAnswerNoise, 0);
  for (size_t i = 0; i < out.shape(0); ++i) out.data()[i] = tinymia::DiscreteLaplace32(&stream);
}

}  // namespace

void twin::BindAnswer(nb::module_& m) {
  m.attr("spare_windows") = tinymia::kSpareWindows;
  m.def("guard", &Guard, nb::arg("settings"), nb::arg("classifiers"), nb::arg("seeds"),
        nb::arg("epoch"), nb::arg("features"), nb::arg("spare"), nb::arg("answers"));
  m.def("watch", &Watch, nb::arg("settings"), nb::arg("seeds"), nb::arg("features"),
        nb::arg("out"));
  m.def("write_spare_windows", &SpareWindows, nb::arg("out"));
  m.def("laplace_draws", &LaplaceDraws, nb::arg("seed"), nb::arg("out"));
}
