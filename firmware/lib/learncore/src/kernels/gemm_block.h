// The innermost loops of convolutions and fully connected layers.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fixedpoint.h"
#include "kernels/dsp.h"
#include "kernels/quantization.h"

#if defined(TINYMIA_DSP)

namespace tinymia {

// Rows of weights times one block of packed columns. The assembly knows this layout: loads of
// neighbouring fields are joined.
struct BlockRows {
  const void* bias;         // of the first row; these three advance from row to row
  const uint32_t* doubled;  // multipliers
  int8_t* output;
  int32_t bias_step;  // bytes, 0 or 4
  const int8_t* shifts;
  int32_t stride;  // from one column's output to the next
  const int8_t* output_end;
  int32_t weights_back;  // bytes by which whole groups of four reach beyond a row, 0..3
  const int16_t* columns;
  const void* entry;  // set by MultiplyRows
  const int16_t* columns_end;
  int32_t zero_point;  // of the output
  int32_t min, max;
  int32_t finish;  // 0: what becomes of negative sums is cut off, 1: all of int8, 2: any range
  const int8_t* weights;
};

// Rows whose scale is not quick get any value.
void MultiplyRows(const BlockRows* rows);

// The sums of one packed column times two rows of weights, `depth` bytes apart, each a multiple of
// 4; all of them aligned to 4. The second row's is the upper half.
uint64_t MultiplyTwoRows(const int8_t* weights, int32_t depth, const int16_t* column);

}  // namespace tinymia

#endif
