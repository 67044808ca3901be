// Matrix products whose sums lie side by side in a vector, one row of weights a lane: for hosts
// that run many windows (the twin). Weights, biases and scales are packed once, when a model is
// loaded; boards, and hosts that tell how much memory a board needs, do without
// (TINYMIA_PACKED_ROWS).
#pragma once

#include <stdint.h>

#include "kernels/gemm.h"

#if defined(TINYMIA_PACKED_ROWS)
#include <immintrin.h>

namespace tinymia {

#if defined(__AVX512BW__)
constexpr int32_t kRowLanes = 16;
#else
constexpr int32_t kRowLanes = 8;
#endif

// In groups of kRowLanes rows, each: biases, multipliers and shifts (int32), then the weights as
// pairs (int16) of neighbours in depth, those of all rows beside each other. Rows and neighbours
// that there are not are zero.
constexpr uint32_t GroupBytes(uint32_t depth) {
  return static_cast<uint32_t>(kRowLanes) * 4 * (3 + (depth + 1) / 2);
}

// Packs the rows of a layer whose requantisation is prepared; kNoRef where a row's scale is not
// quick, or the arena is full.
inline Ref PackRows(PrepareContext* context, const Tensor& filter, const Requantization& q,
                    uint32_t rows, uint32_t depth) {
  constexpr uint32_t kLanes = static_cast<uint32_t>(kRowLanes);
  const uint64_t bytes = static_cast<uint64_t>((rows + kLanes - 1) / kLanes) * GroupBytes(depth);
  if (!q.quick || q.channels == kNoRef || bytes > UINT32_MAX) return kNoRef;
  const uint32_t* doubled = context->Allocated<uint32_t>(q.channels);
  Ref ref = kNoRef;
  uint8_t* to = context->Allocate<uint8_t>(static_cast<uint32_t>(bytes), &ref);
  if (to == nullptr) return kNoRef;
  memset(to, 0, bytes);
  const uint8_t* model = context->model()->data();
  const uint8_t* shifts = static_cast<const uint8_t*>(static_cast<const void*>(doubled + q.scales));
  for (uint32_t row = 0; row < rows; ++row) {
    uint8_t* group = to + row / kLanes * GroupBytes(depth);
    const uint32_t lane = row % kLanes;
    const uint32_t scale = q.scales == 1 ? 0 : row;
    const int32_t shift = static_cast<int8_t>(shifts[scale]);
    if (q.bias != kNoRef) memcpy(group + 4 * lane, model + (q.bias & ~kInModel) + 4 * row, 4);
    memcpy(group + 4 * (kLanes + lane), doubled + scale, 4);
    memcpy(group + 4 * (2 * kLanes + lane), &shift, 4);
    const uint8_t* weights = model + filter.data_pos + row * depth;
    for (uint32_t i = 0; i < depth; ++i) {
      const int16_t weight = static_cast<int8_t>(weights[i]);
      memcpy(group + 4 * kLanes * (3 + i / 2) + 4 * lane + 2 * (i % 2), &weight, 2);
    }
  }
  return ref;
}

// As MultiplyColumns, of rows that are packed.
void MultiplyPacked(const uint8_t* packed, const Requantization& q, int32_t rows, int32_t depth,
                    const int16_t* columns, int32_t lanes, int8_t* output, int32_t output_stride);

}  // namespace tinymia

#endif
