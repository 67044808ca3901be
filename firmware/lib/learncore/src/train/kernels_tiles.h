// Convolutions in vectors, several positions or channels at a time: what is read for one, weights
// above all, serves the others. Every single sum runs in the order of kernels_conv.h, so this
// changes no bit.
#pragma once

#include "kernels_blocks.h"
#include "together.h"

namespace tinymia {

// Whether F has registers for tiles: 16 sums beside what they are made of. (With half as many there
// is nothing to gain.)
template <typename F>
constexpr bool kTiles = Lanes<F>::kCount == 16;
constexpr uint32_t kTileRows = 4;  // of weights, or channels

// Positions that see the same taps: where the inputs and the outputs of each begin.
template <typename F>
struct Positions {
  static constexpr uint32_t kMost = 4;
  const F* x[kMost];
  F* y[kMost];
};

// Outputs [o, o + kRows) of some positions, over rows of `n` taps each.
template <uint32_t kRows, uint32_t kCount, typename F>
inline void ConvTile(const Positions<F>& at, uint32_t rows, uint32_t x_step, uint32_t n,
                     const F* weights, uint32_t w_step, uint32_t filter, const F* bias, size_t o) {
  F sums[kRows][kCount];
#pragma GCC unroll 4
  for (uint32_t r = 0; r < kRows; ++r) {
    const F start = bias != nullptr ? bias[o + r] : F(0.0f);
#pragma GCC unroll 4
    for (uint32_t p = 0; p < kCount; ++p) sums[r][p] = start;
  }
  for (uint32_t i = 0; i < rows; ++i) {
    const F* w = weights + o * filter + i * w_step;
    const F* x[kCount];
#pragma GCC unroll 4
    for (uint32_t p = 0; p < kCount; ++p) x[p] = at.x[p] + i * x_step;
    for (uint32_t j = 0; j < n; ++j) {
      F values[kCount];
#pragma GCC unroll 4
      for (uint32_t p = 0; p < kCount; ++p) values[p] = InRegister(x[p][j]);
#pragma GCC unroll 4
      for (uint32_t r = 0; r < kRows; ++r) {
        const F factor = InRegister(w[r * filter + j]);
#pragma GCC unroll 4
        for (uint32_t p = 0; p < kCount; ++p) sums[r][p] = sums[r][p] + factor * values[p];
      }
    }
  }
#pragma GCC unroll 4
  for (uint32_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 4
    for (uint32_t r = 0; r < kRows; ++r) at.y[p][o + r] = sums[r][p];
  }
}

template <typename F>
void ConvForwardTiled(const Layer& layer, const F* x, const F* weights, const F* bias, F* y) {
  const uint32_t in_c = layer.in_c;
  const uint32_t x_step = static_cast<uint32_t>(layer.in_w) * in_c;
  const uint32_t w_step = static_cast<uint32_t>(layer.kernel_w) * in_c;
  const uint32_t filter = layer.kernel_h * w_step;
  const F* from = layer.bias_count != 0 ? bias : nullptr;
  const uint32_t count = static_cast<uint32_t>(layer.out_h) * layer.out_w;
  Positions<F> at;
  for (uint32_t first = 0; first < count;) {
    const Window v = WindowY(layer, first / layer.out_w);
    const Window h = WindowX(layer, first % layer.out_w);
    uint32_t alike = 0;
    for (; alike < Positions<F>::kMost && first + alike < count; ++alike) {
      const Window v2 = WindowY(layer, (first + alike) / layer.out_w);
      const Window h2 = WindowX(layer, (first + alike) % layer.out_w);
      if (v2.tap != v.tap || v2.count != v.count || h2.tap != h.tap || h2.count != h.count) break;
      at.x[alike] = x + (v2.at * layer.in_w + h2.at) * in_c;
      at.y[alike] = y + (first + alike) * layer.out_c;
    }
    const F* w = weights + v.tap * w_step + h.tap * in_c;
    const uint32_t n = h.count * in_c;
    ForTiles<Positions<F>::kMost>(alike, [&](auto some, size_t p) {
      Positions<F> these;
      for (uint32_t i = 0; i < decltype(some)::kSize; ++i) {
        these.x[i] = at.x[p + i];
        these.y[i] = at.y[p + i];
      }
      ForTiles<kTileRows>(layer.out_c, [&](auto rows, size_t o) {
        ConvTile<decltype(rows)::kSize, decltype(some)::kSize>(these, v.count, x_step, n, w, w_step,
                                                               filter, from, o);
      });
    });
    first += alike;
  }
}

// Which outputs along one axis an input reaches: `count` from `first` on, the first through tap
// `tap`, each further one through a tap `stride` lower.
struct Outputs {
  uint32_t first;
  uint32_t count;
  uint32_t tap;

  Outputs(uint32_t input, uint32_t kernel, uint32_t stride, uint32_t pad, uint32_t outputs) {
    const uint32_t padded = input + pad;
    first = padded < kernel ? 0 : (padded - kernel) / stride + 1;
    const uint32_t end = padded / stride + 1 < outputs ? padded / stride + 1 : outputs;
    count = first < end ? end - first : 0;
    tap = count == 0 ? 0 : padded - first * stride;
  }
};

// Channels [c, c + kChannels) of the gradients of some inputs, which reach their outputs through
// the same taps. `dy` is that of each one's first output.
template <uint32_t kChannels, uint32_t kCount, typename F>
inline void ConvBackTile(const Layer& layer, const F* const* dy, F* const* dx, const F* weights,
                         const Outputs& v, const Outputs& h, size_t c) {
  const uint32_t in_c = layer.in_c;
  const uint32_t out_c = layer.out_c;
  const uint32_t filter = static_cast<uint32_t>(layer.kernel_h) * layer.kernel_w * in_c;
  F sums[kCount][kChannels];
#pragma GCC unroll 4
  for (uint32_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 4
    for (uint32_t j = 0; j < kChannels; ++j) sums[p][j] = dx[p][c + j];
  }
  for (uint32_t oy = 0; oy < v.count; ++oy) {
    for (uint32_t ox = 0; ox < h.count; ++ox) {
      const uint32_t ky = v.tap - oy * layer.stride_h;
      const uint32_t kx = h.tap - ox * layer.stride_w;
      const F* w = weights + (ky * layer.kernel_w + kx) * in_c + c;
      const uint32_t from = (oy * layer.out_w + ox) * out_c;
      for (uint32_t k = 0; k < out_c; ++k, w += filter) {
        F factors[kChannels];
#pragma GCC unroll 4
        for (uint32_t j = 0; j < kChannels; ++j) factors[j] = InRegister(w[j]);
#pragma GCC unroll 4
        for (uint32_t p = 0; p < kCount; ++p) {
          const F d = InRegister(dy[p][from + k]);
#pragma GCC unroll 4
          for (uint32_t j = 0; j < kChannels; ++j) sums[p][j] = sums[p][j] + d * factors[j];
        }
      }
    }
  }
#pragma GCC unroll 4
  for (uint32_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 4
    for (uint32_t j = 0; j < kChannels; ++j) dx[p][c + j] = sums[p][j];
  }
}

// Input by input: each one's sum is that of its outputs in ascending order, as when these hand
// their shares round one after the other.
template <typename F>
void ConvBackwardTiled(const Layer& layer, const F* weights, const F* dy, F* dx) {
  constexpr uint32_t kMost = Positions<F>::kMost;
  const F* from[kMost];
  F* to[kMost];
  // Inputs a stride apart see the same taps.
  const uint32_t columns = layer.in_w;
  const uint32_t count = static_cast<uint32_t>(layer.in_h) * columns;
  const auto outputs_y = [&](uint32_t y) {
    return Outputs(y, layer.kernel_h, layer.stride_h, layer.pad_top, layer.out_h);
  };
  const auto outputs_x = [&](uint32_t x) {
    return Outputs(x, layer.kernel_w, layer.stride_w, layer.pad_left, layer.out_w);
  };
  // The position behind one, in the order of its class; count: none.
  const uint32_t step_x = layer.stride_w, step_y = layer.stride_h;
  for (uint32_t ry = 0; ry < step_y && ry < layer.in_h; ++ry) {
    for (uint32_t rx = 0; rx < step_x && rx < columns; ++rx) {
      const auto next = [&](uint32_t at) {
        const uint32_t x = at % columns + step_x;
        if (x < columns) return at + step_x;
        const uint32_t y = at / columns + step_y;
        return y < layer.in_h ? y * columns + rx : count;
      };
      for (uint32_t at = ry * columns + rx; at < count;) {
        const Outputs v = outputs_y(at / columns);
        const Outputs h = outputs_x(at % columns);
        uint32_t alike = 0;
        for (; alike < kMost && at < count; ++alike, at = next(at)) {
          const Outputs v2 = outputs_y(at / columns);
          const Outputs h2 = outputs_x(at % columns);
          if (v2.count != v.count || h2.count != h.count || v2.tap != v.tap || h2.tap != h.tap) {
            break;
          }
          from[alike] = dy + (v2.first * layer.out_w + h2.first) * layer.out_c;
          to[alike] = dx + at * layer.in_c;
        }
        if (v.count == 0 || h.count == 0) continue;
        ForTiles<Positions<F>::kMost>(alike, [&](auto some, size_t p) {
          ForTiles<kTileRows>(layer.in_c, [&](auto channels, size_t c) {
            ConvBackTile<decltype(channels)::kSize, decltype(some)::kSize>(layer, from + p, to + p,
                                                                           weights, v, h, c);
          });
        });
      }
    }
  }
}

// SumPairs<false> of two input channels at once: the second's sums go behind the first's.
template <uint32_t kSize, typename F>
__attribute__((noinline)) void SumPairsOfTwo(Block<kSize> block, const Pairs& pairs, const F* x,
                                             const F* dy, F* to) {
  F sums[2][kSize];
#pragma GCC unroll 8
  for (uint32_t j = 0; j < kSize; ++j) sums[0][j] = sums[1][j] = F(0.0f);
  x += pairs.x;
  dy += pairs.dy;
  for (uint32_t row = pairs.rows; row != 0; --row) {
    const F* x_at = x;
    const F* dy_at = dy;
    for (uint32_t column = pairs.columns; column != 0; --column) {
      const F first = InRegister(x_at[0]);
      const F second = InRegister(x_at[1]);
#pragma GCC unroll 8
      for (uint32_t j = 0; j < kSize; ++j) {
        const F d = InRegister(dy_at[j]);
        sums[0][j] = sums[0][j] + first * d;
        sums[1][j] = sums[1][j] + second * d;
      }
      x_at += pairs.x_column;
      dy_at += pairs.dy_column;
    }
    x += pairs.x_row;
    dy += pairs.dy_row;
  }
  StoreBlock(block, sums[0], to);
  StoreBlock(block, sums[1], to + kSize);
}

}  // namespace tinymia
