// From int32 sums to int8 outputs, as the reference rounds: MultiplyByFixed, then the zero point.
#pragma once

#include <stdint.h>

#include "fixedpoint.h"
#include "kernels/dsp.h"
#include "kernels/quantization.h"

namespace tinymia {

// MultiplyByFixed(sum, m) + zero_point, where the shift is to the right by 1..32, for any sum: two
// rounding products, or a product and a shift. Ties of the second rounding go away from zero, which
// the sign takes care of; nothing here can overflow, so a channel may have any bias and any shift.
inline int32_t ApplyQuick(int32_t sum, const ChannelScale& scale, int32_t zero_point) {
  int32_t high = MultiplyHigh(sum, scale.doubled);
  high += high >> 31;
  return (((high >> scale.shift) + 1) >> 1) + zero_point;
}

// One output of a channel, without the activation's range.
inline int32_t ApplyScale(int32_t sum, const ChannelScale& scale, int32_t zero_point) {
  if (scale.quick()) return ApplyQuick(sum, scale, zero_point);
  return WrapAdd(MultiplyByFixed(sum, scale.slow()), zero_point);
}

inline int8_t Requantize(int32_t sum, const ChannelScale& scale, const Requantization& q) {
  return static_cast<int8_t>(
      Clamp(ApplyScale(sum, scale, q.output_zero_point), q.range.min, q.range.max));
}

}  // namespace tinymia
