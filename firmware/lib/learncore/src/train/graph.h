// A bundle's float network.
#pragma once

#include <stdint.h>

#include "layer.h"
#include "settings.h"

namespace tinymia {

// Coordinates of the last layer's inputs x in which those of other people, who are public, are
// centred and about equally wide: z = rows * (x - mean).
struct PublicShape {
  const float* mean = nullptr;  // [inputs of the last layer]
  const float* rows = nullptr;  // [count][inputs]
  uint32_t count = 0;           // 0: the bundle has none; at most as many as there are inputs
};

struct Graph {
  const Layer* layers = nullptr;
  uint32_t count = 0;
  const float* parameters = nullptr;
  PublicShape shape = {};

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
  // Whether training from `first` on can be shaped.
  bool CanShape(uint32_t first, Trained trained) const {
    return shape.count != 0 && first + 1 == count && trained == Trained::kWeights;
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
