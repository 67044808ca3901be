// Random changes of a sensor window, from int8 to int8, so that the backbone behind sees what it
// would see of a real window.
#pragma once

#include <stdint.h>

#include "settings.h"

namespace tinymia {

struct WindowShape {
  uint32_t length;    // samples
  uint32_t channels;  // each three in a row are one sensor's axes, if a multiple of three
  float scale;
  int32_t zero_point;
};

// `out` (not `in` itself) becomes `in` shifted in time by up to settings.shift samples (edges are
// repeated), each triple of channels rotated by a random rotation, each channel scaled by 1 +
// scaling * normal, with jitter * normal added to each value (in units of (q - zero_point) *
// scale), then rounded and saturated. Keyed by (seed, epoch, position); what one switch draws does
// not depend on the others.
//
// The rotation is that of the quaternion (1, v / 2), normalised, where each component of v is
// settings.rotation * normal: about v, by 2 * atan(|v| / 2), which is |v| for small ones (0.8 %
// less at 0.3 radians) and stays below pi.
void Augment(const TrainSettings& settings, const WindowShape& shape, uint32_t epoch,
             uint32_t position, const int8_t* in, int8_t* out);

}  // namespace tinymia
