// Gradients of convolutions whose outputs have one input channel each, in vectors: several taps of
// a row of the kernel at once, over neighbours that are laid side by side. Every single sum runs in
// the order of SumPairs, so this changes no bit.
#pragma once

#include "kernels_blocks.h"
#include "kernels_tiles.h"

namespace tinymia {

// One number a channel of a plane: that of row i and column j at data[i * row + j * column].
template <typename F>
struct Plane {
  const F* data;
  size_t row, column;
};

// Which columns of outputs each of kTaps neighbours in a row of taps, from tap_x on, has inputs
// for: [first, end). All have [low, high).
template <uint32_t kTaps>
struct Columns {
  ptrdiff_t first[kTaps], end[kTaps];
  ptrdiff_t low = 0, high;
  bool begins = false, ends = false;  // whether some taps have more than all have

  Columns(const Layer& l, uint32_t tap_x) : high(l.out_w) {
#pragma GCC unroll 4
    for (uint32_t t = 0; t < kTaps; ++t) {
      const Reach reach(tap_x + t, l.out_w, l.stride_w, l.pad_left, l.in_w);
      first[t] = reach.first;
      end[t] = reach.first + reach.count;
      low = first[t] > low ? first[t] : low;
      high = end[t] < high ? end[t] : high;
    }
    high = high < low ? low : high;
#pragma GCC unroll 4
    for (uint32_t t = 0; t < kTaps; ++t) {
      begins = begins || first[t] < low;
      ends = ends || end[t] > high;
    }
  }
  ptrdiff_t before(uint32_t t) const { return low < end[t] ? low : end[t]; }
  ptrdiff_t behind(uint32_t t) const { return high > first[t] ? high : first[t]; }
};

// The sums of kTaps neighbours in a row of taps, from (tap_y, tap_x) on, for kSize outputs.
template <bool kOwnInput, uint32_t kTaps, uint32_t kSize, typename F>
__attribute__((noinline)) void SumTaps(const Layer& l, const Plane<F>& x, const Plane<F>& dy,
                                       uint32_t tap_y, uint32_t tap_x, F (&to)[kTaps][1][kSize]) {
  F sums[kTaps][kSize];
#pragma GCC unroll 4
  for (uint32_t t = 0; t < kTaps; ++t) {
#pragma GCC unroll 4
    for (uint32_t j = 0; j < kSize; ++j) sums[t][j] = F(0.0f);
  }
  const Columns<kTaps> columns(l, tap_x);
  const Reach rows(tap_y, l.out_h, l.stride_h, l.pad_top, l.in_h);
  const auto column = static_cast<ptrdiff_t>(x.column);
  const ptrdiff_t step = column * l.stride_w;
  const ptrdiff_t start = column * (static_cast<ptrdiff_t>(tap_x) - l.pad_left);
  const auto dy_step = static_cast<ptrdiff_t>(dy.column);
  for (uint32_t i = 0; i < rows.count; ++i) {
    const F* x_row = x.data + (rows.at + i * l.stride_h) * x.row;
    const F* dy_row = dy.data + (rows.first + i) * dy.row;
    const auto alone = [&](uint32_t t, ptrdiff_t from, ptrdiff_t to_end, F(&sum)[kSize]) {
      for (ptrdiff_t o = from; o < to_end; ++o) {
        const F* x_at = x_row + (o * step + start + static_cast<ptrdiff_t>(t) * column);
#pragma GCC unroll 4
        for (uint32_t j = 0; j < kSize; ++j) {
          sum[j] = sum[j] + x_at[kOwnInput ? j : 0] * dy_row[o * dy_step + j];
        }
      }
    };
    if (columns.begins) {
#pragma GCC unroll 4
      for (uint32_t t = 0; t < kTaps; ++t) {
        alone(t, columns.first[t], columns.before(t), sums[t]);
      }
    }
    const F* x_at = x_row + (columns.low * step + start);
    const F* dy_at = dy_row + columns.low * dy_step;
    for (ptrdiff_t left = columns.high - columns.low; left > 0;
         --left, x_at += step, dy_at += dy_step) {
      F d[kSize];
#pragma GCC unroll 4
      for (uint32_t j = 0; j < kSize; ++j) d[j] = InRegister(dy_at[j]);
#pragma GCC unroll 4
      for (uint32_t t = 0; t < kTaps; ++t) {
        if constexpr (kOwnInput) {
#pragma GCC unroll 4
          for (uint32_t j = 0; j < kSize; ++j) {
            sums[t][j] = sums[t][j] + x_at[static_cast<ptrdiff_t>(t) * column + j] * d[j];
          }
        } else {
          const F shared = InRegister(x_at[static_cast<ptrdiff_t>(t) * column]);
#pragma GCC unroll 4
          for (uint32_t j = 0; j < kSize; ++j) sums[t][j] = sums[t][j] + shared * d[j];
        }
      }
    }
    if (columns.ends) {
#pragma GCC unroll 4
      for (uint32_t t = 0; t < kTaps; ++t) {
        alone(t, columns.behind(t), columns.end[t], sums[t]);
      }
    }
  }
#pragma GCC unroll 4
  for (uint32_t t = 0; t < kTaps; ++t) {
#pragma GCC unroll 4
    for (uint32_t j = 0; j < kSize; ++j) to[t][0][j] = sums[t][j];
  }
}

// Those of all taps of a kernel of 3 by 3 at once, row by row, and behind them the sums of deltas:
// what is read of a plane is read once.
template <bool kOwnInput, uint32_t kSize, typename F>
__attribute__((noinline)) void SumWindow(const Layer& l, const F* x, const F* dy,
                                         F (&to)[10][1][kSize]) {
  F sums[3][3][kSize], deltas[kSize];
#pragma GCC unroll 4
  for (uint32_t j = 0; j < kSize; ++j) {
    deltas[j] = F(0.0f);
#pragma GCC unroll 3
    for (uint32_t k = 0; k < 3; ++k) {
#pragma GCC unroll 3
      for (uint32_t t = 0; t < 3; ++t) sums[k][t][j] = F(0.0f);
    }
  }
  const Columns<3> columns(l, 0);
  const ptrdiff_t column = l.in_c, row = static_cast<ptrdiff_t>(l.in_w) * l.in_c;
  const ptrdiff_t step = column * l.stride_w, dy_step = l.out_c, width = l.out_w;
  x -= row * l.pad_top + column * l.pad_left;
  for (uint32_t oy = 0; oy < l.out_h; ++oy, x += row * l.stride_h, dy += dy_step * width) {
    const Window rows = WindowY(l, oy);
    const bool full = rows.count == 3;
    // Some columns [from, end) of one tap, and of the deltas.
    const auto alone = [&](uint32_t k, uint32_t t, ptrdiff_t from, ptrdiff_t end, F(&sum)[kSize]) {
      if (k - rows.tap >= rows.count) return;
      for (ptrdiff_t o = from; o < end; ++o) {
        const F* at = x + (o * step + k * row + t * column);
#pragma GCC unroll 4
        for (uint32_t j = 0; j < kSize; ++j) {
          sum[j] = sum[j] + at[kOwnInput ? j : 0] * dy[o * dy_step + j];
        }
      }
    };
    const auto add = [&](ptrdiff_t from, ptrdiff_t end) {
      for (ptrdiff_t o = from; o < end; ++o) {
#pragma GCC unroll 4
        for (uint32_t j = 0; j < kSize; ++j) deltas[j] = deltas[j] + dy[o * dy_step + j];
      }
    };
    if (!full || columns.begins) {
#pragma GCC unroll 3
      for (uint32_t k = 0; k < 3; ++k) {
#pragma GCC unroll 3
        for (uint32_t t = 0; t < 3; ++t) {
          alone(k, t, columns.first[t], full ? columns.before(t) : columns.end[t], sums[k][t]);
        }
      }
    }
    add(0, full && columns.low < width ? columns.low : width);
    if (!full) continue;
    const F* at = x + columns.low * step;
    const F* d_at = dy + columns.low * dy_step;
    for (ptrdiff_t left = columns.high - columns.low; left > 0;
         --left, at += step, d_at += dy_step) {
      F d[kSize];
#pragma GCC unroll 4
      for (uint32_t j = 0; j < kSize; ++j) {
        d[j] = InRegister(d_at[j]);
        deltas[j] = deltas[j] + d[j];
      }
#pragma GCC unroll 3
      for (uint32_t k = 0; k < 3; ++k) {
#pragma GCC unroll 3
        for (uint32_t t = 0; t < 3; ++t) {
          const F* one = at + (k * row + t * column);
          if constexpr (kOwnInput) {
#pragma GCC unroll 4
            for (uint32_t j = 0; j < kSize; ++j) sums[k][t][j] = sums[k][t][j] + one[j] * d[j];
          } else {
            const F shared = InRegister(*one);
#pragma GCC unroll 4
            for (uint32_t j = 0; j < kSize; ++j) sums[k][t][j] = sums[k][t][j] + shared * d[j];
          }
        }
      }
    }
    add(columns.high, width);
    if (columns.ends) {
#pragma GCC unroll 3
      for (uint32_t k = 0; k < 3; ++k) {
#pragma GCC unroll 3
        for (uint32_t t = 0; t < 3; ++t) {
          alone(k, t, columns.behind(t), columns.end[t], sums[k][t]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (uint32_t j = 0; j < kSize; ++j) {
    to[9][0][j] = deltas[j];
#pragma GCC unroll 3
    for (uint32_t k = 0; k < 3; ++k) {
#pragma GCC unroll 3
      for (uint32_t t = 0; t < 3; ++t) to[k * 3 + t][0][j] = sums[k][t][j];
    }
  }
}

// The channels [c, c + kSize) of a plane of `positions` with `channels` each, side by side where
// there is room.
template <uint32_t kSize, typename F>
inline Plane<F> PackedPlane(Block<kSize> block, const F* from, uint32_t rows, uint32_t columns,
                            uint32_t channels, F* room) {
  const uint32_t positions = rows * columns;
  if (channels == kSize || positions * kSize > kHeld<F>) {
    return {from, static_cast<size_t>(columns) * channels, channels};
  }
  for (uint32_t i = 0; i < positions; ++i) {
    StoreBlock(block, from + i * channels, room + i * kSize);
  }
  return {room, columns * kSize, kSize};
}

// Whether the layer's gradients are summed up by taps; those of four outputs have room among the
// values that are held, and all have a bit more.
template <typename F>
inline bool ByTaps(const Layer& l) {
  const bool fits = (static_cast<uint32_t>(l.kernel_h) * l.kernel_w + 1) * 4 <= kHeld<F> &&
                    l.weight_count + l.bias_count <= 2 * kHeld<F>;
  const bool one = l.kind == LayerKind::kConv
                       ? l.in_c == 1
                       : l.kind == LayerKind::kDepthwise && l.in_c == l.out_c;
  return fits && one;
}

// Whether those of all its taps are summed up at once: half of the columns have all of them.
inline bool ByWindow(const Layer& l) {
  if (l.kernel_h != 3 || l.kernel_w != 3) return false;
  const Columns<3> columns(l, 0);
  return 2 * (columns.high - columns.low) >= l.out_w;
}

// The gradients of such a layer: body(example, tap, output, gradients) for up to four outputs'
// weights at a tap, or biases, which are behind the last tap.
template <bool kOwnInput, typename F, typename Body>
inline void ForTaps(const Layer& layer, uint32_t n, const F* x, size_t x_example, const F* dy,
                    Body body) {
  if (ByWindow(layer)) {
    ForTiles<2>(layer.out_c, [&](auto block, size_t o) {
      for (uint32_t b = 0; b < n; ++b) {
        F sums[10][1][decltype(block)::kSize];
        SumWindow<kOwnInput>(layer, x + b * x_example + (kOwnInput ? o : 0),
                             dy + b * layer.outputs() + o, sums);
        for (uint32_t t = 0; t < (layer.bias_count == 0 ? 9u : 10u); ++t) {
          body(b, t, static_cast<uint32_t>(o), sums[t]);
        }
      }
    });
    return;
  }
  F x_room[kOwnInput ? kHeld<F> : 1];
  F dy_room[kHeld<F>];
  const uint32_t positions = static_cast<uint32_t>(layer.out_h) * layer.out_w;
  ForTiles<4>(layer.out_c, [&](auto block, size_t o) {
    constexpr uint32_t kSize = decltype(block)::kSize;
    for (uint32_t b = 0; b < n; ++b) {
      const F* from = x + b * x_example;
      const F* d = dy + b * layer.outputs() + o;
      const Plane<F> deltas = PackedPlane(block, d, layer.out_h, layer.out_w, layer.out_c, dy_room);
      Plane<F> inputs = {from, layer.in_w, 1};
      if (kOwnInput) {
        inputs = PackedPlane(block, from + o, layer.in_h, layer.in_w, layer.in_c, x_room);
      }
      for (uint32_t ky = 0; ky < layer.kernel_h; ++ky) {
        const auto some = [&](auto taps, size_t kx) {
          constexpr uint32_t kTaps = decltype(taps)::kSize;
          F sums[kTaps][1][kSize];
          SumTaps<kOwnInput>(layer, inputs, deltas, ky, static_cast<uint32_t>(kx), sums);
          for (uint32_t t = 0; t < kTaps; ++t) {
            body(b, static_cast<uint32_t>(ky * layer.kernel_w + kx + t), static_cast<uint32_t>(o),
                 sums[t]);
          }
        };
        if (layer.kernel_w == 3) {
          some(Block<3>(), 0);
        } else {
          ForTiles<4>(layer.kernel_w, some);
        }
      }
      if (layer.bias_count == 0) continue;
      F sums[1][kSize];
      SumPositions(block, positions, static_cast<uint32_t>(deltas.column), deltas.data, sums[0]);
      body(b, static_cast<uint32_t>(layer.kernel_h) * layer.kernel_w, static_cast<uint32_t>(o),
           sums);
    }
  });
}

// As GradientTiles (see kernels_together.h), with those of biases.
template <bool kOwnInput, typename F, typename Sink>
inline void GradientTaps(const Layer& layer, uint32_t n, const F* x, size_t x_example, const F* dy,
                         const Sink& sink) {
  const uint32_t out_c = layer.out_c;
  if constexpr (Sink::kInOrder) {
    F all[2 * kHeld<F>];
    for (uint32_t b = 0; b < n; ++b) {
      ForTaps<kOwnInput>(layer, 1, x + b * x_example, x_example, dy + b * layer.outputs(),
                         [&](uint32_t, uint32_t tap, uint32_t o, const auto& g) {
                           uint32_t at = tap * out_c + o;
                           for (const F& value : g[0]) all[at++] = value;
                         });
      ForBlocks(layer.weight_count + layer.bias_count, [&](auto block, uint32_t i) {
        F g[1][decltype(block)::kSize];
        LoadBlock(block, all + i, g[0]);
        sink.Take(b, 0, 0, 0, g);
      });
    }
  } else {
    const uint32_t filter = static_cast<uint32_t>(layer.kernel_h) * layer.kernel_w;
    ForTaps<kOwnInput>(layer, n, x, x_example, dy,
                       [&](uint32_t b, uint32_t tap, uint32_t o, const auto& g) {
                         const bool neighbours = kOwnInput || tap == filter;
                         const uint32_t first = neighbours ? tap * out_c + o : o * filter + tap;
                         sink.Take(b, tap * 4, first, neighbours ? 1 : filter, g);
                       });
  }
}

}  // namespace tinymia
