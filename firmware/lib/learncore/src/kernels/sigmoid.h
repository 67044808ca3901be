// The reference's sigmoid and tanh of int16 numbers: by a table and interpolation. (Saturation
// aside, tanh(x) is 2 sigmoid(2x) - 1.)
#pragma once

#include <stdint.h>

namespace tinymia {

// `scaled` is three times a number with 12 fractional bits, above INT32_MIN; results have 15.
int32_t Sigmoid(int32_t scaled);
int32_t Tanh(int32_t scaled);

}  // namespace tinymia
