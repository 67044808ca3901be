// From int8 values to the trained layers' floats.
#pragma once

#include <stdint.h>

#include "kernels_blocks.h"
#include "lanes.h"

namespace tinymia {

// One row of int8 values a lane, as floats. (The twin has a faster one for vectors.)
template <typename F>
void LoadRows(const int8_t* const* rows, uint32_t n, float scale, int32_t zero_point, F* to) {
  for (uint32_t l = 0; l < Lanes<F>::kCount; ++l) {
    const int8_t* row = rows[l];
    for (uint32_t j = 0; j < n; ++j) {
      SetLane(&to[j], l, static_cast<float>(row[j] - zero_point) * scale);
    }
  }
}

template <typename F>
void LoadLane(const int8_t* row, uint32_t n, float scale, int32_t zero_point, uint32_t lane,
              F* to) {
  for (uint32_t j = 0; j < n; ++j) {
    SetLane(&to[j], lane, static_cast<float>(row[j] - zero_point) * scale);
  }
}

inline void LoadRows(const int8_t* const* rows, uint32_t n, float scale, int32_t zero_point,
                     float* to) {
  const int8_t* row = rows[0];
  ForBlocks(n, [=](auto block, uint32_t i) {
    constexpr uint32_t kSize = decltype(block)::kSize;
    float values[kSize];
#pragma GCC unroll 8
    for (uint32_t j = 0; j < kSize; ++j) {
      values[j] = static_cast<float>(row[i + j] - zero_point) * scale;
    }
    StoreBlock(block, values, to + i);
  });
}

}  // namespace tinymia
