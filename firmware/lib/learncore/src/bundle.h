// A bundle in flash: the int8 model, its float layers if it can be personalised, and a privacy
// budget if one is set. Layout: see host/tinymia/export/bundle.py, which writes it.
#pragma once

#include <stdint.h>

#include "status.h"
#include "train/graph.h"

namespace tinymia {

// What training may spend: DP-SGD with at least this noise, at most this share of the members a
// step, and no more steps.
struct Budget {
  float noise_multiplier;
  float max_rate;
  uint32_t steps;
  uint32_t reserved;
};
static_assert(sizeof(Budget) == 16, "the bundle's layout");

struct BundleView {
  const uint8_t* model = nullptr;  // .tflite, 16-byte aligned
  uint32_t model_size = 0;
  Graph graph;                     // count 0: nothing can be trained
  const Budget* budget = nullptr;  // nullptr: none is set
  uint32_t size = 0;
  uint32_t crc = 0;
};

// Why a bundle or model was refused, with the two numbers of the protocol's message.
struct Refusal {
  Status status = Status::kOk;
  uint32_t a = 0;
  uint32_t b = 0;
};

// Checks everything before it is used: `data` (16-byte aligned, `room` readable bytes) is not
// trusted.
Refusal ParseBundle(const uint8_t* data, uint32_t room, BundleView* view);

}  // namespace tinymia
