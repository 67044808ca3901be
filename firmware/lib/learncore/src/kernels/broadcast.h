// Shapes of two operands that are broadcast against each other: ADD, SUB, MUL, MAXIMUM, MINIMUM.
#pragma once

#include "kernels/kernel.h"

namespace tinymia {

struct Broadcast {
  int32_t dims[4] = {1, 1, 1, 1};
  int32_t strides[2][4];  // of each operand; 0 where it is repeated
};

// Refuses shapes that do not broadcast to the output's. Equal shapes become one flat loop.
Status PrepareBroadcast(const Tensor* inputs, const Tensor& output, Broadcast* result);

}  // namespace tinymia
