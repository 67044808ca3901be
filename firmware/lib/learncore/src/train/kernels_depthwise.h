// Depthwise convolutions in float.
#pragma once

#include "kernels_blocks.h"
#include "kernels_planes.h"

namespace tinymia {

// Output channels in blocks: body(Block, own, o, c) for the outputs from o on; with `own`, which is
// a constant, they read the input channels from c on, one each, else all the one channel c.
template <bool kOwn>
struct OwnInput {
  static constexpr bool kValue = kOwn;
};

template <typename Body>
inline void ForDepthwiseBlocks(const Layer& layer, Body body) {
  if (layer.in_c == layer.out_c) {
    ForBlocks(layer.out_c, [&](auto block, uint32_t o) { body(block, OwnInput<true>(), o, o); });
    return;
  }
  const uint32_t multiplier = layer.out_c / layer.in_c;
  for (uint32_t c = 0; c < layer.in_c; ++c) {
    ForBlocks(multiplier, [&](auto block, uint32_t i) {
      body(block, OwnInput<false>(), c * multiplier + i, c);
    });
  }
}

template <typename F>
void DepthwiseForward(const Layer& layer, const F* x, const F* weights, const F* bias, F* y) {
  if constexpr (kTiles<F>) {
    if (layer.in_c == layer.out_c) {
      DepthwiseForwardTiled(layer, 1, x, 0, weights, bias, y, 0);
      return;
    }
  }
  const uint32_t in_c = layer.in_c;
  const uint32_t out_c = layer.out_c;
  for (uint32_t oy = 0; oy < layer.out_h; ++oy) {
    const Window v = WindowY(layer, oy);
    for (uint32_t ox = 0; ox < layer.out_w; ++ox, y += out_c) {
      const Window h = WindowX(layer, ox);
      ForDepthwiseBlocks(layer, [&](auto block, auto own, uint32_t o, uint32_t c) {
        constexpr uint32_t kSize = decltype(block)::kSize;
        F sums[kSize];
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kSize; ++j) {
          sums[j] = layer.bias_count != 0 ? bias[o + j] : F(0.0f);
        }
        for (uint32_t i = 0; i < v.count; ++i) {
          const F* w = weights + ((v.tap + i) * layer.kernel_w + h.tap) * out_c + o;
          const F* from = x + ((v.at + i) * layer.in_w + h.at) * in_c + c;
          for (uint32_t t = 0; t < h.count; ++t, w += out_c, from += in_c) {
            F factors[kSize];
            LoadBlock(block, w, factors);
            if constexpr (decltype(own)::kValue) {
              F values[kSize];
              HoldBlock(block, from, values);
#pragma GCC unroll 8
              for (uint32_t j = 0; j < kSize; ++j) sums[j] = sums[j] + factors[j] * values[j];
            } else {
              const F shared = *from;
#pragma GCC unroll 8
              for (uint32_t j = 0; j < kSize; ++j) sums[j] = sums[j] + factors[j] * shared;
            }
          }
        }
        StoreBlock(block, sums, y + o);
      });
    }
  }
}

template <typename F>
void DepthwiseBackward(const Layer& layer, const F* weights, const F* dy, F* dx) {
  const uint32_t in_c = layer.in_c;
  const uint32_t out_c = layer.out_c;
  for (uint32_t oy = 0; oy < layer.out_h; ++oy) {
    const Window v = WindowY(layer, oy);
    for (uint32_t ox = 0; ox < layer.out_w; ++ox, dy += out_c) {
      const Window h = WindowX(layer, ox);
      ForDepthwiseBlocks(layer, [&](auto block, auto own, uint32_t o, uint32_t c) {
        constexpr uint32_t kSize = decltype(block)::kSize;
        F d[kSize];
        LoadBlock(block, dy + o, d);
        for (uint32_t i = 0; i < v.count; ++i) {
          const F* w = weights + ((v.tap + i) * layer.kernel_w + h.tap) * out_c + o;
          F* to = dx + ((v.at + i) * layer.in_w + h.at) * in_c + c;
          for (uint32_t t = 0; t < h.count; ++t, w += out_c, to += in_c) {
            F factors[kSize];
            LoadBlock(block, w, factors);
            if constexpr (decltype(own)::kValue) {
              F sums[kSize];
              HoldBlock(block, to, sums);
#pragma GCC unroll 8
              for (uint32_t j = 0; j < kSize; ++j) sums[j] = sums[j] + d[j] * factors[j];
              StoreBlock(block, sums, to);
            } else {
              F sum = *to;
#pragma GCC unroll 8
              for (uint32_t j = 0; j < kSize; ++j) sum = sum + d[j] * factors[j];
              *to = sum;
            }
          }
        }
      });
    }
  }
}

template <typename F>
void DepthwiseGradient(const Layer& layer, const F* x, const F* dy, bool biases_only,
                       Sink<F> sink) {
  const uint32_t out_c = layer.out_c;
  if (!biases_only) {
    for (uint32_t ky = 0; ky < layer.kernel_h; ++ky) {
      for (uint32_t kx = 0; kx < layer.kernel_w; ++kx) {
        const Pairs pairs(layer, ky, kx);
        const uint32_t first = (ky * layer.kernel_w + kx) * out_c;
        ForDepthwiseBlocks(layer, [&](auto block, auto own, uint32_t o, uint32_t c) {
          constexpr uint32_t kSize = decltype(block)::kSize;
          F sums[kSize];
          SumPairs<decltype(own)::kValue>(block, pairs, x + c, dy + o, sums);
          sink.take(sink.self, first + o, 1, kSize, sums);
        });
      }
    }
  }
  BiasGradient(layer, dy, biases_only ? 0 : layer.weight_count, sink);
}

}  // namespace tinymia
