// How to train: TrainSettings and what each may be (declared in firmware/protocol/protocol.toml).
#pragma once

#include <stdint.h>

#include "declared.h"

namespace tinymia {

// The first setting that is out of range by itself or beside the others.
Setting CheckSettings(const TrainSettings& settings);

// Factor of the learning rate in an epoch (counted from 0).
float RateFactor(const TrainSettings& settings, uint32_t epoch);

}  // namespace tinymia
