// The innermost loops of convolutions: rows of weights times one block of packed columns.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fixedpoint.h"
#include "kernels/dsp.h"

#if defined(TINYMIA_DSP)

namespace tinymia {

// The assembly knows this layout: loads of neighbouring fields are joined.
struct BlockRows {
  const void* bias;  // of the first row; these three advance from row to row
  const FixedMultiplier* multipliers;
  int8_t* output;
  int32_t bias_step;  // bytes, 0 or 4
  const int16_t* columns;
  int32_t groups;              // of four weights in a row, >= 1
  int32_t doubled_zero_point;  // of the output, times two, plus one
  int32_t stride;              // from one column's output to the next
  int32_t weights_back;        // bytes by which `groups` reach beyond the row, 0..3
  int32_t rows;                // >= 1
  int32_t min, max;
  const int8_t* weights;
  int32_t clamp;  // 0: the range is all of int8
};

// For layers whose Requantization is `fast`. Advances the fields of `rows`.
void MultiplyRows(BlockRows* rows);

}  // namespace tinymia

#endif
