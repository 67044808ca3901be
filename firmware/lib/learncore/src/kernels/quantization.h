// Quantisation parameters that several kernels share.
#pragma once

#include <stdint.h>

#include "kernels/kernel.h"

namespace tinymia {

struct ActivationRange {
  int32_t min = INT8_MIN;
  int32_t max = INT8_MAX;
};

// Range of int8 outputs for the schema's fused activation code.
Status FusedRange(int32_t activation, const Tensor& output, ActivationRange* range);

// How int32 sums of one layer become int8 outputs.
struct Requantization {
  Ref channels = kNoRef;  // FixedMultiplier of every output channel
  Ref bias = kNoRef;      // int32 of every output channel, or none
  int32_t output_zero_point = 0;
  ActivationRange range;
  // Whether RequantizeFast holds for every channel.
  bool fast = false;
  bool full_range() const { return range.min == INT8_MIN && range.max == INT8_MAX; }
};

// Checks `bias` (optional operand `bias_operand`) and the filter's quantisation, and computes the
// multipliers. `depth` is the number of products in one sum.
// With `shared_scale` a filter with one scale is treated as fully connected layers do.
Status PrepareRequantization(PrepareContext* context, const Tensor& input, const Tensor& filter,
                             const Tensor& output, int32_t channel_dimension, uint32_t depth,
                             int32_t activation, bool shared_scale, Requantization* result,
                             uint32_t bias_operand = 2);

// Reads int32 biases wherever they lie: not every writer of .tflite files aligns them.
class BiasReader {
 public:
  BiasReader() = default;
  BiasReader(const EvalContext& context, Ref bias)
      : bytes_(bias == kNoRef ? nullptr : context.Const<uint8_t>(bias)) {}
  int32_t operator[](int32_t channel) const {
    int32_t value = 0;
    if (bytes_ != nullptr) memcpy(&value, bytes_ + 4 * channel, sizeof(value));
    return value;
  }
  const uint8_t* bytes() const { return bytes_; }  // null: all are 0
  // The biases from `channel` on.
  BiasReader From(int32_t channel) const {
    BiasReader rest;
    if (bytes_ != nullptr) rest.bytes_ = bytes_ + 4 * channel;
    return rest;
  }

 private:
  const uint8_t* bytes_ = nullptr;
};

// The exact result of a saturating or wrapping input is the reference's wherever that is defined.
inline int8_t Requantize(int32_t sum, FixedMultiplier multiplier, const Requantization& q) {
  const int32_t scaled = MultiplyByFixed(sum, multiplier);
  return static_cast<int8_t>(Clamp(WrapAdd(scaled, q.output_zero_point), q.range.min, q.range.max));
}

// Extent of a sliding window over one axis.
struct Window {
  int32_t output = 0;
  int32_t pad_before = 0;
};
// padding: 0 same, 1 valid. False when an argument is out of range or nothing remains.
bool ComputeWindow(int32_t padding, int32_t input, int32_t filter, int32_t stride, int32_t dilation,
                   Window* window);

}  // namespace tinymia
