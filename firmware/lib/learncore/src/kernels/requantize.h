// The quick way from an int32 sum to an int8 output, for layers whose Requantization is `fast`.
#pragma once

#include <stdint.h>

#include "kernels/dsp.h"
#include "kernels/quantization.h"

namespace tinymia {

// With |sum| < 2^30 and a shift to the right by 1..20, both roundings of MultiplyByFixed come down
// to a rounding high product and one shift: ties of the second go away from zero, which the sign
// takes care of, and the output's zero point is added before the shift.
struct FastMultiplier {
  int32_t multiplier;
  int32_t shift;
  int32_t addend;

  FastMultiplier(const FixedMultiplier& m, int32_t output_zero_point)
      : multiplier(m.multiplier),
        shift(-m.shift),
        addend((output_zero_point * 2 + 1) * (1 << (shift - 1))) {}

  int32_t Apply(int32_t sum) const {
    const int32_t high = Smmulr(sum * 2, multiplier);
    return (high + (high >> 31) + addend) >> shift;
  }
};

}  // namespace tinymia
