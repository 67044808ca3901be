// Several examples of a batch through the last dense layer side by side: each weight is then read
// once for all of them. Every sum still runs in its one order, so this changes no bit.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lanes.h"
#include "layer.h"

namespace tinymia {

// y[b] = layer(x[b]) of a dense layer without activation, for kCount examples that follow each
// other in x and y.
template <uint32_t kCount, typename F>
void DenseForwardTogether(const Layer& layer, const F* x, const F* weights, const F* bias, F* y) {
  constexpr uint32_t kRows = Lanes<F>::kCount == 16 ? 4 : 2;  // as many as fit in registers
  const size_t inputs = layer.inputs();
  const size_t outputs = layer.out_c;
  for (size_t k = 0; k < outputs; k += kRows) {
    const F* w[kRows];
    F sums[kRows][kCount];
#pragma GCC unroll 4
    for (uint32_t r = 0; r < kRows; ++r) {
      // (Behind the last row it is taken again, and its sums are dropped.)
      const size_t row = k + r < outputs ? k + r : outputs - 1;
      w[r] = weights + row * inputs;
#pragma GCC unroll 4
      for (uint32_t b = 0; b < kCount; ++b)
        sums[r][b] = layer.bias_count != 0 ? bias[row] : F(0.0f);
    }
    for (size_t i = 0; i < inputs; ++i) {
#pragma GCC unroll 4
      for (uint32_t r = 0; r < kRows; ++r) {
        const F factor = w[r][i];
#pragma GCC unroll 4
        for (uint32_t b = 0; b < kCount; ++b) sums[r][b] = sums[r][b] + factor * x[b * inputs + i];
      }
    }
    for (uint32_t r = 0; r < kRows && k + r < outputs; ++r) {
#pragma GCC unroll 4
      for (uint32_t b = 0; b < kCount; ++b) y[b * outputs + k + r] = sums[r][b];
    }
  }
}

// to[i] = combine(b, to[i], gradient[i]) for one example after the other.
template <uint32_t kCount, typename F, typename Combine>
void DenseGradientTogether(const Layer& layer, const F* x, const F* dy, bool biases_only, F* to,
                           Combine combine) {
  constexpr uint32_t kSize = 8;
  const size_t inputs = layer.inputs();
  const size_t outputs = layer.out_c;
  F* bias = to;
  if (!biases_only) {
    bias = to + layer.weight_count;
    for (size_t k = 0; k < outputs; ++k) {
      F d[kCount];
#pragma GCC unroll 4
      for (uint32_t b = 0; b < kCount; ++b) d[b] = dy[b * outputs + k];
      const F* at = x;
      size_t left = inputs;
      for (; left >= kSize; left -= kSize, at += kSize, to += kSize) {
        F values[kSize];
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kSize; ++j) values[j] = to[j];
        const F* from = at;
#pragma GCC unroll 4
        for (uint32_t b = 0; b < kCount; ++b, from += inputs) {
#pragma GCC unroll 8
          for (uint32_t j = 0; j < kSize; ++j) values[j] = combine(b, values[j], d[b] * from[j]);
        }
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kSize; ++j) to[j] = values[j];
      }
      for (; left != 0; --left, ++at, ++to) {
        for (uint32_t b = 0; b < kCount; ++b) *to = combine(b, *to, d[b] * at[b * inputs]);
      }
    }
  }
  for (uint32_t k = 0; k < layer.bias_count; ++k) {
    for (uint32_t b = 0; b < kCount; ++b) bias[k] = combine(b, bias[k], dy[b * outputs + k]);
  }
}

}  // namespace tinymia
