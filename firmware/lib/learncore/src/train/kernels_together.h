// Layers over several examples side by side, in vectors: weights are then read, and sums of
// gradients written, once for many. Every sum runs in the order of kernels.h, so this changes no
// bit.
#pragma once

#include "kernels.h"
#include "together.h"

namespace tinymia {

// As LayerForward. The examples of x and of `other` are so far apart, those of y one behind the
// other.
template <typename F>
void LayerForwardTogether(const Layer& layer, uint32_t n, const F* x, size_t x_stride,
                          const F* other, size_t other_stride, const F* weights, const F* bias,
                          F* y) {
  if (layer.kind == LayerKind::kConv) {
    ConvForwardTiled(layer, n, x, x_stride, weights, bias, y, layer.outputs());
    return;
  }
  if (layer.kind == LayerKind::kDense && layer.activation == Activation::kNone) {
    DenseForwardTogether(layer, x, x_stride, n, weights, bias, y);
    return;
  }
  for (uint32_t b = 0; b < n; ++b, x += x_stride, y += layer.outputs()) {
    LayerForward(layer, x, other, weights, bias, y);
    if (other != nullptr) other += other_stride;
  }
}

// The gradients of a convolution's weights (unless biases_only) and biases, in the order of
// ConvGradient and DepthwiseGradient: body(Block<n>, Block<runs>, first, step, sums) for those of
// the trained parameters `first`, `first + step`, ..., n of them, and of as many from `first + 1` on
// if there are two runs; sums(b, to) writes those of example b, one run behind the other.
template <typename F, typename Body>
inline void ForGradients(const Layer& layer, const F* x, size_t x_stride, const F* dy,
                         bool biases_only, Body body) {
  const size_t dy_stride = layer.outputs();
  const uint32_t out_c = layer.out_c, in_c = layer.in_c;
  const uint32_t filter = layer.kernel_h * layer.kernel_w * in_c;
  const uint32_t taps = biases_only ? 0 : static_cast<uint32_t>(layer.kernel_h) * layer.kernel_w;
  for (uint32_t tap = 0; tap < taps; ++tap) {
    const Pairs pairs(layer, tap / layer.kernel_w, tap % layer.kernel_w);
    if (layer.kind == LayerKind::kDepthwise) {
      ForDepthwiseBlocks(layer, [&](auto block, auto own, uint32_t o, uint32_t c) {
        body(block, Block<1>(), tap * out_c + o, 1u, [&](uint32_t b, F* to) {
          SumPairs<decltype(own)::kValue>(block, pairs, x + b * x_stride + c,
                                          dy + b * dy_stride + o, to);
        });
      });
      continue;
    }
    ForBlocks(out_c, [&](auto block, uint32_t o) {
      const uint32_t first = o * filter + tap * in_c;
      uint32_t c = 0;
      for (; c + 2 <= in_c; c += 2) {
        body(block, Block<2>(), first + c, filter, [&](uint32_t b, F* to) {
          SumPairsOfTwo(block, pairs, x + b * x_stride + c, dy + b * dy_stride + o, to);
        });
      }
      if (c == in_c) return;
      body(block, Block<1>(), first + c, filter, [&](uint32_t b, F* to) {
        SumPairs<false>(block, pairs, x + b * x_stride + c, dy + b * dy_stride + o, to);
      });
    });
  }
  const uint32_t bias = biases_only ? 0 : layer.weight_count;
  ForBlocks(layer.bias_count, [&](auto block, uint32_t o) {
    body(block, Block<1>(), bias + o, 1u, [&](uint32_t b, F* to) {
      SumPositions(block, layer, dy + b * dy_stride + o, to);
    });
  });
}

// Adds to norms[b] what LayerGradientNorm2 gives for example b.
template <typename F>
void AddGradientNorms(const Layer& layer, uint32_t n, const F* x, size_t x_stride, const F* dy,
                      bool biases_only, F* norms) {
  F sums[kMostTogether] = {};
  if (layer.kind == LayerKind::kDense) {
    DenseNormsTogether(layer, x, x_stride, n, dy, biases_only, sums);
  } else {
    ForGradients(layer, x, x_stride, dy, biases_only,
                 [&](auto block, auto runs, uint32_t, uint32_t, auto gradients) {
                   constexpr uint32_t kAll = decltype(block)::kSize * decltype(runs)::kSize;
                   for (uint32_t b = 0; b < n; ++b) {
                     F g[kAll];
                     gradients(b, g);
                     F sum = sums[b];
#pragma GCC unroll 16
                     for (uint32_t j = 0; j < kAll; ++j) sum = sum + g[j] * g[j];
                     sums[b] = sum;
                   }
                 });
  }
  for (uint32_t b = 0; b < n; ++b) norms[b] = norms[b] + sums[b];
}

// What becomes of the gradients of n examples; `sink` is one of DenseGradientTogether's.
template <typename F, typename Sums>
void LayerGradientTogether(const Layer& layer, uint32_t n, const F* x, size_t x_stride, const F* dy,
                           bool biases_only, Sums sink) {
  if (layer.kind == LayerKind::kDense) {
    DenseGradientTogether(layer, x, x_stride, n, dy, biases_only, sink);
    return;
  }
  ForGradients(
      layer, x, x_stride, dy, biases_only,
      [&](auto block, auto runs, uint32_t first, uint32_t step, auto gradients) {
        constexpr uint32_t kSize = decltype(block)::kSize;
        constexpr uint32_t kAll = kSize * decltype(runs)::kSize;
        const auto index = [=](uint32_t j) { return first + j / kSize + j % kSize * step; };
        F sums[kAll], g[kAll];
        gradients(0, Sums::kFresh ? sums : g);
        if constexpr (!Sums::kFresh) {
#pragma GCC unroll 16
          for (uint32_t j = 0; j < kAll; ++j) sums[j] = sink.Add(0, sink.Start(index(j)), g[j]);
        }
        for (uint32_t b = 1; b < n; ++b) {
          gradients(b, g);
#pragma GCC unroll 16
          for (uint32_t j = 0; j < kAll; ++j) sums[j] = sink.Add(b, sums[j], g[j]);
        }
#pragma GCC unroll 16
        for (uint32_t j = 0; j < kAll; ++j) sink.Finish(index(j), sums[j]);
      });
}

}  // namespace tinymia
