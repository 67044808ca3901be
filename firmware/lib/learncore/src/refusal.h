// Why a bundle or model was refused, with the two numbers of the protocol's message.
#pragma once

#include <stdint.h>

#include "status.h"

namespace tinymia {

struct Refusal {
  Status status = Status::kOk;
  uint32_t a = 0;
  uint32_t b = 0;
};

// Stands for an operator or tensor where none is at fault.
constexpr uint32_t kNowhere = 0xFFFF;

}  // namespace tinymia
