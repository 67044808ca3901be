// Convolutions in float. A row of taps and the inputs under it are one run of memory each.
#pragma once

#include "kernels_blocks.h"
#include "kernels_tiles.h"

namespace tinymia {

template <typename F>
void ConvForward(const Layer& layer, const F* x, const F* weights, const F* bias, F* y) {
  if constexpr (kTiles<F>) {
    ConvForwardTiled(layer, 1, x, 0, weights, bias, y, 0);
    return;
  }
  const uint32_t in_c = layer.in_c;
  const uint32_t filter = static_cast<uint32_t>(layer.kernel_h) * layer.kernel_w * in_c;
  for (uint32_t oy = 0; oy < layer.out_h; ++oy) {
    const Window v = WindowY(layer, oy);
    for (uint32_t ox = 0; ox < layer.out_w; ++ox, y += layer.out_c) {
      const Window h = WindowX(layer, ox);
      ForBlocks(layer.out_c, [&](auto block, uint32_t o) {
        constexpr uint32_t kSize = decltype(block)::kSize;
        F sums[kSize];
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kSize; ++j) sums[j] = F(0.0f);
        if (layer.bias_count != 0) LoadBlock(block, bias + o, sums);
        StoreBlock(block, sums, y + o);
      });
      for (uint32_t i = 0; i < v.count; ++i) {
        AddProducts(x + ((v.at + i) * layer.in_w + h.at) * in_c, h.count * in_c,
                    weights + ((v.tap + i) * layer.kernel_w + h.tap) * in_c, filter, layer.out_c, y,
                    y);
      }
    }
  }
}

template <typename F>
void ConvBackward(const Layer& layer, const F* weights, const F* dy, F* dx) {
  if constexpr (kTiles<F>) {
    ConvBackwardTiled(layer, 1, weights, dy, 0, Inward<F>{dx, 0, false, dx, Activation::kNone});
    return;
  }
  const uint32_t in_c = layer.in_c;
  const uint32_t filter = static_cast<uint32_t>(layer.kernel_h) * layer.kernel_w * in_c;
  for (uint32_t oy = 0; oy < layer.out_h; ++oy) {
    const Window v = WindowY(layer, oy);
    for (uint32_t ox = 0; ox < layer.out_w; ++ox, dy += layer.out_c) {
      const Window h = WindowX(layer, ox);
      for (uint32_t i = 0; i < v.count; ++i) {
        AddTransposed(dy, layer.out_c, weights + ((v.tap + i) * layer.kernel_w + h.tap) * in_c,
                      filter, h.count * in_c, dx + ((v.at + i) * layer.in_w + h.at) * in_c);
      }
    }
  }
}

template <typename F>
void ConvGradient(const Layer& layer, const F* x, const F* dy, bool biases_only, Sink<F> sink) {
  const uint32_t in_c = layer.in_c;
  const uint32_t filter = static_cast<uint32_t>(layer.kernel_h) * layer.kernel_w * in_c;
  if (!biases_only) {
    for (uint32_t ky = 0; ky < layer.kernel_h; ++ky) {
      for (uint32_t kx = 0; kx < layer.kernel_w; ++kx) {
        const Pairs pairs(layer, ky, kx);
        const uint32_t first = (ky * layer.kernel_w + kx) * in_c;
        ForBlocks(layer.out_c, [&](auto block, uint32_t o) {
          constexpr uint32_t kSize = decltype(block)::kSize;
          for (uint32_t c = 0; c < in_c; ++c) {
            F sums[kSize];
            SumPairs<false>(block, pairs, x + c, dy + o, sums);
            sink.take(sink.self, o * filter + first + c, filter, kSize, sums);
          }
        });
      }
    }
  }
  BiasGradient(layer, dy, biases_only ? 0 : layer.weight_count, sink);
}

}  // namespace tinymia
