// Dense layers in float.
#pragma once

#include "kernels_blocks.h"

namespace tinymia {

template <typename F>
void DenseForward(const Layer& layer, const F* x, const F* weights, const F* bias, F* y) {
  const uint32_t inputs = layer.inputs();
  for (uint32_t k = layer.bias_count; k < layer.out_c; ++k) y[k] = F(0.0f);
  AddProducts(x, inputs, weights, inputs, layer.out_c, layer.bias_count != 0 ? bias : y, y);
}

template <typename F>
void DenseBackward(const Layer& layer, const F* weights, const F* dy, F* dx) {
  const uint32_t inputs = layer.inputs();
  AddTransposed(dy, layer.out_c, weights, inputs, inputs, dx);
}

// The gradient is the outer product of dy and (x, 1): its norm needs no buffer.
template <typename F>
F DenseGradientNorm2(const Layer& layer, const F* x, const F* dy, bool biases_only) {
  const F delta2 = SquaredNorm(dy, layer.out_c);
  const F ones = layer.bias_count != 0 ? F(1.0f) : F(0.0f);
  if (biases_only) return delta2 * ones;
  return delta2 * (SquaredNorm(x, layer.inputs()) + ones);
}

template <typename F, typename Combine>
void DenseGradient(const Layer& layer, const F* x, const F* dy, bool biases_only, F* to,
                   Combine combine) {
  const uint32_t inputs = layer.inputs();
  const uint32_t outputs = layer.out_c;
  F* bias = to;
  if (!biases_only) {
    bias = to + layer.weight_count;
    ForBlocks(inputs, [=](auto block, uint32_t i) {
      constexpr uint32_t kSize = decltype(block)::kSize;
      F held[kSize];
      HoldBlockHigh(block, x + i, held);
      F* row = to + i;
      for (uint32_t k = 0; k < outputs; ++k, row += inputs) {
        const F d = dy[k];
        F values[kSize];
        LoadBlock(block, row, values);
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kSize; ++j) values[j] = combine(values[j], d * held[j]);
        StoreBlock(block, values, row);
      }
    });
  }
  for (uint32_t k = 0; k < layer.bias_count; ++k) bias[k] = combine(bias[k], dy[k]);
}

}  // namespace tinymia
