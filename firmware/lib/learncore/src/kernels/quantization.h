// Quantisation parameters that several kernels share.
#pragma once

#include <stdint.h>

#include "kernels/kernel.h"

namespace tinymia {

struct ActivationRange {
  int32_t min = INT8_MIN;
  int32_t max = INT8_MAX;
};

// Range of int8 or int16 outputs for the schema's fused activation code.
Status FusedRange(int32_t activation, const Tensor& output, ActivationRange* range);

// A channel's multiplier, as the kernels want it.
struct ChannelScale {
  uint32_t doubled;  // twice FixedMultiplier's, which is at least 2^30
  int32_t shift;     // to the right, less the last bit; < 0: ApplyQuick does not hold

  bool quick() const { return shift >= 0; }
  FixedMultiplier slow() const { return {static_cast<int32_t>(doubled >> 1), -1 - shift}; }
};

// How int32 sums of one layer become int8 outputs.
struct Requantization {
  Ref channels = kNoRef;  // the scales: all multipliers, then all shifts
  Ref bias = kNoRef;      // int32 of every output channel, or none
  int32_t scales = 0;     // one for every output channel, or one for all
  int32_t output_zero_point = 0;
  ActivationRange range;
  bool quick = true;  // all channels are
  bool full_range() const { return range.min == INT8_MIN && range.max == INT8_MAX; }
  // Whether what a negative sum becomes is cut off, so that its rounding does not matter.
  bool cuts_negative() const { return range.min >= output_zero_point; }
};

// The scales of a layer's channels.
class ScaleReader {
 public:
  ScaleReader() = default;
  ScaleReader(const EvalContext& context, const Requantization& q)
      : doubled_(context.Const<uint32_t>(q.channels)),
        shifts_(context.Const<int8_t>(q.channels) + 4 * q.scales),
        step_(q.scales == 1 ? 0 : 1) {}
  ChannelScale operator[](int32_t channel) const {
    return {doubled_[channel * step_], shifts_[channel * step_]};
  }
  // The scales from `channel` on.
  ScaleReader From(int32_t channel) const {
    ScaleReader rest = *this;
    rest.doubled_ += channel * step_;
    rest.shifts_ += channel * step_;
    return rest;
  }
  const uint32_t* doubled() const { return doubled_; }
  const int8_t* shifts() const { return shifts_; }

 private:
  const uint32_t* doubled_ = nullptr;
  const int8_t* shifts_ = nullptr;
  int32_t step_ = 0;
};

// Checks `bias` (optional operand `bias_operand`) and the filter's quantisation, and computes the
// multipliers. `depth` is the number of products in one sum.
// With `shared_scale` a filter with one scale is treated as fully connected layers do. With
// `keep_one` its multiplier is kept once, not once a channel.
Status PrepareRequantization(PrepareContext* context, const Tensor& input, const Tensor& filter,
                             const Tensor& output, int32_t channel_dimension, uint32_t depth,
                             int32_t activation, bool shared_scale, bool keep_one,
                             Requantization* result, uint32_t bias_operand = 2);

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

// Extent of a sliding window over one axis.
struct Window {
  int32_t output = 0;
  int32_t pad_before = 0;
};
// padding: 0 same, 1 valid. False when an argument is out of range or nothing remains.
bool ComputeWindow(int32_t padding, int32_t input, int32_t filter, int32_t stride, int32_t dilation,
                   Window* window);

}  // namespace tinymia
