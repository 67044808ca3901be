// Generated from firmware/protocol/protocol.toml. Do not edit.
#pragma once

#include <stdint.h>

namespace tinymia {

enum class Status : uint8_t {
  kOk = 0,
  kModelTruncated = 32,
  kModelMalformed = 33,
  kModelUnsupportedOp = 34,
  kModelUnsupportedType = 35,
  kModelUnsupportedShape = 36,
  kArenaTooSmall = 37,
};

}  // namespace tinymia
