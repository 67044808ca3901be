// C interface to a bundle's float layers, for ctypes.
#include "arena.h"
#include "bundle.h"
#include "train/trainer.h"

using namespace tinymia;  // NOLINT(google-build-using-namespace)

extern "C" {

// What ParseBundle says, and how many layers it finds.
int32_t shim_parse(const uint8_t* bundle, uint32_t size, uint32_t* layers) {
  BundleView view;
  const Refusal refusal = ParseBundle(bundle, size, &view);
  *layers = view.graph.count;
  return static_cast<int32_t>(refusal.status);
}

// Bytes that training from layer `first` on takes beside a store of `slots`.
uint32_t shim_workspace(const uint8_t* bundle, uint32_t size, uint32_t first, uint32_t slots,
                        uint32_t batch, uint32_t optimizer, float clip_norm, uint32_t biases) {
  BundleView view;
  if (ParseBundle(bundle, size, &view).status != Status::kOk) return 0;
  TrainSettings settings;
  settings.batch = static_cast<uint16_t>(batch);
  settings.optimizer = static_cast<Optimizer>(optimizer);
  settings.clip_norm = clip_norm;
  settings.trained = static_cast<Trained>(biases);
  Arena counter(nullptr, 0);
  Trainer<float> trainer;
  trainer.Plan(view.graph, first, &settings, 1, nullptr, slots, &counter);
  return counter.used();
}
}
