// A bundle's float network.
#pragma once

#include <stdint.h>

#include "layer.h"
#include "settings.h"

namespace tinymia {

struct Graph {
  const Layer* layers = nullptr;
  uint32_t count = 0;
  const float* parameters = nullptr;

  uint32_t classes() const { return layers[count - 1].out_c; }
  // Whether training can start at a layer: a single tensor lies before it.
  bool CanStartAt(uint32_t layer) const { return layer < count && layers[layer].cut != kNoCut; }
  // Whether this image can train all that lies from there on.
  bool Trainable(uint32_t layer) const {
    for (uint32_t i = layer; i < count; ++i) {
      if (!Trains(layers[i].kind)) return false;
    }
    return true;
  }
  // How many numbers are trained from `first` on.
  uint32_t TrainedCount(uint32_t first, Trained trained) const {
    uint32_t total = 0;
    for (uint32_t i = first; i < count; ++i) {
      total += layers[i].bias_count + (trained == Trained::kBiases ? 0 : layers[i].weight_count);
    }
    return total;
  }
};

}  // namespace tinymia
