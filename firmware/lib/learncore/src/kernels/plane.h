// Filters over one channel at a time: the inner loops of depthwise convolutions.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/dsp.h"
#include "kernels/quantization.h"

#if defined(TINYMIA_DSP)

namespace tinymia {

// A 3x3 filter over the rows of one channel's plane of int16, whose padding is zeros. The assembly
// knows this layout.
struct PlaneFilter {
  uint32_t doubled;      // of a quick scale
  int32_t shift_factor;  // -2^(31 - its shift)
  int32_t zero_point;    // of the output
  int32_t bias;
  uint32_t weights[6];  // the pairs (w0, w1) and (w1, w2) of each row
  const int16_t* row;   // first input of the first row of outputs; aligned to 4
  int32_t row_step;     // bytes to the next row's
  int32_t fours_bytes;  // of input that a row's outputs take as far as they are done four by four
  const int16_t* fours_end;  // set by FilterPlane
  const int16_t* last_row;   // one behind the last row
  int32_t rest;              // outputs behind the fours, 0..3
  int8_t* output;
  int32_t stride;           // from one output of a row, or row, to the next
  int32_t pitch;            // bytes from one row of the filter to the next
  const void* finish_four;  // these two are set by FilterPlane
  const void* finish_two;
  int32_t cuts_negative;
  int32_t left;  // set by FilterPlane
};

// Outputs lie one or two inputs apart. May read three halfwords beyond the inputs of a row.
void FilterPlane(const PlaneFilter& filter);
void FilterPlaneByTwo(const PlaneFilter& filter);

}  // namespace tinymia

#endif
