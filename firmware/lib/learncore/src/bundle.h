// A bundle in flash: the int8 model and, if it can be personalised, its trainable tail. Layout: see
// host/tinymia/export/bundle.py, which writes it.
#pragma once

#include <stdint.h>

#include "status.h"

namespace tinymia {

struct BundleView {
  const uint8_t* model = nullptr;  // .tflite, 16-byte aligned
  uint32_t model_size = 0;
  const float* tail = nullptr;  // weights [classes][dim], then bias [classes]; nullptr without one
  uint32_t classes = 0;
  uint32_t dim = 0;
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
