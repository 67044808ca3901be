// Updates of many devices, by the code of the board. Its callers in Python check shapes and values.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <string.h>

#include <vector>

#include "bind_fleet.h"
#include "federated/update.h"

namespace nb = nanobind;

namespace {

template <typename T, size_t kDimensions>
using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu, nb::ndim<kDimensions>>;

// 0, or the number of the first term that is out of range.
uint32_t CheckUpdate(float clip_norm, uint32_t units, float noise) {
  return static_cast<uint32_t>(tinymia::CheckUpdate({clip_norm, units, noise}));
}

uint32_t UpdateSigma(float clip_norm, uint32_t units, float noise, uint32_t count) {
  return noise > 0.0f ? tinymia::SigmaOfUpdate({clip_norm, units, noise}, count) : 0;
}

// Row by row: `theta` minus `start` (one row: the same for all) into `updates`.
void MakeUpdates(const Array<const float, 2>& theta, const Array<const float, 2>& start,
                 float clip_norm, uint32_t units, float noise,
                 const Array<const uint64_t, 1>& seeds, const Array<int32_t, 2>& updates,
                 const Array<float, 1>& norms, const Array<uint8_t, 1>& clipped) {
  const tinymia::UpdateSettings settings = {clip_norm, units, noise};
  const size_t devices = theta.shape(0);
  const auto count = static_cast<uint32_t>(theta.shape(1));
  const nb::gil_scoped_release release;
  std::vector<float> shared(count);
  for (size_t d = 0; d < devices; ++d) {
    const float* from = start.data() + (start.shape(0) == 1 ? 0 : d * count);
    memcpy(shared.data(), from, count * sizeof(float));
    const tinymia::UpdateFacts facts =
        tinymia::MakeUpdate(theta.data() + d * count, count, settings,
                            tinymia::KeyFromSeed(seeds.data()[d]), shared.data());
    memcpy(updates.data() + d * count, shared.data(), count * sizeof(float));
    norms.data()[d] = facts.norm;
    clipped.data()[d] = facts.clipped ? 1 : 0;
  }
}

}  // namespace

void twin::BindUpdates(nb::module_& m) {
  m.def("check_update", &CheckUpdate, nb::arg("clip_norm"), nb::arg("units"), nb::arg("noise"));
  m.def("update_sigma", &UpdateSigma, nb::arg("clip_norm"), nb::arg("units"), nb::arg("noise"),
        nb::arg("count"));
  m.def("make_updates", &MakeUpdates, nb::arg("theta"), nb::arg("start"), nb::arg("clip_norm"),
        nb::arg("units"), nb::arg("noise"), nb::arg("seeds"), nb::arg("updates"), nb::arg("norms"),
        nb::arg("clipped"));
}
