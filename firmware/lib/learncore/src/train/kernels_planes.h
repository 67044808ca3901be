// Depthwise convolutions in vectors, with as many outputs as inputs: several positions at a time,
// as in kernels_tiles.h. Every single sum runs in the order of kernels_depthwise.h.
#pragma once

#include "kernels_tiles.h"

namespace tinymia {

// Channels [c, c + kChannels) of some positions, over `rows` by `columns` taps: to[p] becomes, or
// what `finish` makes of it, start(p, c) plus the sum of w * x, where those of the next column and
// row are `w_column`, `w_row`, `x_column` and `x_row` further on.
template <uint32_t kChannels, uint32_t kCount, typename F>
inline void PlaneTile(const F* const* at, uint32_t rows, uint32_t columns, size_t x_row,
                      size_t x_column, const F* w, ptrdiff_t w_row, ptrdiff_t w_column, size_t c,
                      F (&sums)[kCount][kChannels]) {
  for (uint32_t i = 0; i < rows; ++i) {
    for (uint32_t t = 0; t < columns; ++t) {
      const F* factors = w + i * w_row + t * w_column + c;
      const size_t x = i * x_row + t * x_column + c;
      F held[kChannels];
#pragma GCC unroll 4
      for (uint32_t j = 0; j < kChannels; ++j) held[j] = InRegister(factors[j]);
#pragma GCC unroll 4
      for (uint32_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 4
        for (uint32_t j = 0; j < kChannels; ++j) {
          sums[p][j] = sums[p][j] + held[j] * at[p][x + j];
        }
      }
    }
  }
}

// As ConvForwardTiled.
template <typename F>
void DepthwiseForwardTiled(const Layer& layer, uint32_t examples, const F* x, size_t x_example,
                           const F* weights, const F* bias, F* y, size_t y_example) {
  const size_t channels = layer.out_c;
  const size_t x_row = layer.in_w * channels;
  const size_t w_row = layer.kernel_w * channels;
  ForOutputRects(layer, [&](const Run& v, const Run& h) {
    const Places<const F> xs = {x + v.at * x_row + h.at * channels, h.at_step * channels,
                                v.at_step * x_row, x_example};
    const Places<F> ys = {y + (v.first * layer.out_w + h.first) * channels, channels,
                          layer.out_w * channels, y_example};
    const F* w = weights + v.tap * w_row + h.tap * channels;
    ForPositions(v.count, h.count, examples, xs, ys, [&](auto some, auto at, auto to) {
      ForTiles<kTileRows>(channels, [&](auto block, size_t c) {
        constexpr uint32_t kCount = decltype(some)::kSize, kSize = decltype(block)::kSize;
        F sums[kCount][kSize];
#pragma GCC unroll 4
        for (uint32_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 4
          for (uint32_t j = 0; j < kSize; ++j) {
            sums[p][j] = layer.bias_count != 0 ? bias[c + j] : F(0.0f);
          }
        }
        PlaneTile(at, v.taps, h.taps, x_row, channels, w, static_cast<ptrdiff_t>(w_row),
                  static_cast<ptrdiff_t>(channels), c, sums);
#pragma GCC unroll 4
        for (uint32_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 4
          for (uint32_t j = 0; j < kSize; ++j) {
            to[p][c + j] = Activated(layer.activation, sums[p][j]);
          }
        }
      });
    });
  });
}

// As ConvBackwardTiled.
template <typename F>
void DepthwiseBackwardTiled(const Layer& layer, uint32_t examples, const F* weights, const F* dy,
                            size_t dy_example, const Inward<F>& inward) {
  const size_t channels = layer.out_c;
  const size_t dy_row = layer.out_w * channels;
  ForInputRects(layer, [&](const Run& v, const Run& h) {
    const Places<const F> from = {dy + v.at * dy_row + h.at * channels, channels, dy_row,
                                  dy_example};
    const Places<F> to = {inward.dx + (v.first * layer.in_w + h.first) * channels,
                          h.step * channels, v.step * layer.in_w * channels, inward.example};
    const F* w = weights + (v.tap * layer.kernel_w + h.tap) * channels;
    const auto w_column = -static_cast<ptrdiff_t>(layer.stride_w * channels);
    const auto w_row = -static_cast<ptrdiff_t>(layer.stride_h * layer.kernel_w * channels);
    ForPositions(v.count, h.count, examples, from, to, [&](auto some, auto d, auto at) {
      ForTiles<kTileRows>(channels, [&](auto block, size_t c) {
        F sums[decltype(some)::kSize][decltype(block)::kSize];
        inward.Start(at, c, sums);
        PlaneTile(d, v.taps, h.taps, dy_row, channels, w, w_row, w_column, c, sums);
        inward.Finish(at, c, sums);
      });
    });
  });
}

}  // namespace tinymia
