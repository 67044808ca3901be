// What kernels on int16 activations share (int8 weights, "16x8"). They are plain loops: such models
// are few, and their products do not fit the pairs that the int8 kernels live on.
#pragma once

#include <stdint.h>
#include <string.h>

#include "fixedpoint.h"
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {

inline int32_t Clamp16(int32_t value) { return Clamp(value, INT16_MIN, INT16_MAX); }

// What a layer makes of its sums.
struct WideOutput {
  Requantization requantization;
  int32_t bias_bytes = 0;  // of each bias; 0: there are none
  bool narrow = false;     // sums have 32 bits (and wrap), not 64
};

// Reads how a layer's sums become int16 outputs, as PrepareRequantization does for int8. Biases may
// have 8 bytes, or `other_bias_bytes` (0: those alone). `narrow`: without biases, sums have 32
// bits.
Status PrepareWideOutput(PrepareContext* context, const Tensor& input, const Tensor& filter,
                         const Tensor& output, int32_t channel_dimension, uint32_t depth,
                         int32_t activation, bool shared_scale, uint32_t bias_operand,
                         int32_t other_bias_bytes, bool narrow, WideOutput* result);

// The int16 output of a sum.
class WideFinisher {
 public:
  WideFinisher(const EvalContext& context, const WideOutput& output)
      : output_(output), scales_(context, output.requantization) {
    if (output.bias_bytes > 0) bias_ = context.Const<uint8_t>(output.requantization.bias);
  }
  int16_t operator()(int64_t sum, int32_t channel) const;

 private:
  const WideOutput& output_;
  ScaleReader scales_;
  const uint8_t* bias_ = nullptr;
};

}  // namespace tinymia
