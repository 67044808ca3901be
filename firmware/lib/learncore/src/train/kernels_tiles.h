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
constexpr uint32_t kTileRows = 4;       // of weights, or channels
constexpr uint32_t kTilePositions = 4;  // of outputs or inputs

// What stays in a processor's nearest cache while positions go by.
template <typename F>
constexpr uint32_t kHeld = 32 * 1024 / sizeof(F);

// Along one axis, `count` positions that see the same taps: the first of them at `first`, each
// further one `step` on. What they meet on the other side starts at `at`, for each further one
// `at_step` on, with tap `tap` and in all `taps`.
struct Run {
  uint32_t first, step, count;
  uint32_t at, at_step;
  uint32_t tap, taps;
};

// Outputs, as runs. Later taps lie further on in the input.
template <typename Body>
inline void ForOutputRuns(uint32_t outputs, uint32_t kernel, uint32_t stride, uint32_t pad,
                          uint32_t inputs, Body body) {
  for (uint32_t first = 0; first < outputs;) {
    const Window window(first, kernel, stride, pad, inputs);
    Run run = {first, 1, 1, window.at, stride, window.tap, window.count};
    for (; first + run.count < outputs; ++run.count) {
      const Window next(first + run.count, kernel, stride, pad, inputs);
      if (next.tap != window.tap || next.count != window.count) break;
    }
    first += run.count;
    body(run);
  }
}

// Inputs that reach outputs at all, as runs: those a stride apart may see the same taps. The first
// of its outputs has tap `tap`, each further one a tap `stride` lower.
template <typename Body>
inline void ForInputRuns(uint32_t inputs, uint32_t kernel, uint32_t stride, uint32_t pad,
                         uint32_t outputs, Body body) {
  const auto run_at = [=](uint32_t input) {
    const uint32_t padded = input + pad;
    const uint32_t first = padded < kernel ? 0 : (padded - kernel) / stride + 1;
    const uint32_t end = padded / stride + 1 < outputs ? padded / stride + 1 : outputs;
    const uint32_t taps = first < end ? end - first : 0;
    return Run{input, stride, 1, first, 1, taps == 0 ? 0 : padded - first * stride, taps};
  };
  for (uint32_t rest = 0; rest < stride && rest < inputs; ++rest) {
    for (uint32_t input = rest; input < inputs;) {
      Run run = run_at(input);
      for (input += stride; input < inputs; input += stride, ++run.count) {
        const Run next = run_at(input);
        if (next.taps != run.taps || next.tap != run.tap) break;
      }
      if (run.taps != 0) body(run);
    }
  }
}

// Where numbers of some positions lie: those of the first, and how far on those of the next column,
// row and example.
template <typename T>
struct Places {
  T* first;
  size_t column, row, example;
};

// body(Block, x, y): the positions of `rows` by `columns` in so many examples, by fours, the rest
// at once; x and y are arrays of where those of each lie.
template <typename X, typename Y, typename Body>
inline void ForPositions(uint32_t rows, uint32_t columns, uint32_t examples, const Places<X>& x,
                         const Places<Y>& y, Body body) {
  X* xs[kTilePositions];
  Y* ys[kTilePositions];
  uint32_t held = 0;
  for (uint32_t b = 0; b < examples; ++b) {
    for (uint32_t i = 0; i < rows; ++i) {
      X* x_at = x.first + b * x.example + i * x.row;
      Y* y_at = y.first + b * y.example + i * y.row;
      for (uint32_t j = 0; j < columns; ++j, x_at += x.column, y_at += y.column) {
        xs[held] = x_at;
        ys[held] = y_at;
        if (++held < kTilePositions) continue;
        body(Block<4>(), xs, ys);
        held = 0;
      }
    }
  }
  if (held == 3) body(Block<3>(), xs, ys);
  if (held == 2) body(Block<2>(), xs, ys);
  if (held == 1) body(Block<1>(), xs, ys);
}

// A layer whose positions lie in one row if they can: then more of them see the same taps.
inline Layer Flattened(Layer l) {
  const bool one_tap = l.kernel_h == 1 && l.kernel_w == 1 && l.stride_h == 1 && l.stride_w == 1 &&
                       l.pad_top == 0 && l.pad_left == 0 && l.in_h == l.out_h && l.in_w == l.out_w;
  const uint32_t positions = static_cast<uint32_t>(l.in_h) * l.in_w;
  if (one_tap && positions <= 0xFFFF) {
    l.in_h = l.out_h = 1;
    l.in_w = l.out_w = static_cast<uint16_t>(positions);
  }
  return l;
}

// body(rows, columns): outputs, or inputs, that see the same taps.
template <typename Body>
inline void ForOutputRects(const Layer& l, Body body) {
  ForOutputRuns(l.out_h, l.kernel_h, l.stride_h, l.pad_top, l.in_h, [&](const Run& v) {
    ForOutputRuns(l.out_w, l.kernel_w, l.stride_w, l.pad_left, l.in_w,
                  [&](const Run& h) { body(v, h); });
  });
}
template <typename Body>
inline void ForInputRects(const Layer& l, Body body) {
  ForInputRuns(l.in_h, l.kernel_h, l.stride_h, l.pad_top, l.out_h, [&](const Run& v) {
    ForInputRuns(l.in_w, l.kernel_w, l.stride_w, l.pad_left, l.out_w,
                 [&](const Run& h) { body(v, h); });
  });
}

// Whether every input reaches an output: windows leave out none, and the last one ends behind it.
inline bool ReachesAll(uint32_t inputs, uint32_t kernel, uint32_t stride, uint32_t pad,
                       uint32_t outputs) {
  return outputs != 0 && stride <= kernel && (outputs - 1) * stride + kernel >= inputs + pad;
}
inline bool ReachesAll(const Layer& l) {
  return ReachesAll(l.in_h, l.kernel_h, l.stride_h, l.pad_top, l.out_h) &&
         ReachesAll(l.in_w, l.kernel_w, l.stride_w, l.pad_left, l.out_w);
}

// Activation::kNone and so on, of one number.
template <typename F>
inline F Activated(Activation activation, F v) {
  if (activation == Activation::kNone) return v;
  v = Larger(F(0.0f), v);
  return activation == Activation::kRelu6 ? Smaller(F(6.0f), v) : v;
}

// The gradient before the activation, of an output y.
template <typename F>
inline F Unactivated(Activation activation, F y, F d) {
  if (activation == Activation::kNone) return d;
  return activation == Activation::kRelu6 ? WhereBetween(y, F(6.0f), d) : WhereAbove(y, d);
}

// Where the gradients of a layer's inputs go.
template <typename F>
struct Inward {
  F* dx;
  size_t example;  // how far examples are apart
  // Whether nothing is there yet. Then they go on through the activation that gave the inputs, x,
  // which lie as dx does.
  bool fresh;
  const F* x;
  Activation activation;

  template <uint32_t kCount, uint32_t kSize>
  void Start(F* const* at, size_t c, F (&sums)[kCount][kSize]) const {
#pragma GCC unroll 4
    for (uint32_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 4
      for (uint32_t j = 0; j < kSize; ++j) sums[p][j] = fresh ? F(0.0f) : at[p][c + j];
    }
  }
  template <uint32_t kCount, uint32_t kSize>
  void Finish(F* const* at, size_t c, const F (&sums)[kCount][kSize]) const {
#pragma GCC unroll 4
    for (uint32_t p = 0; p < kCount; ++p) {
      const F* const y = x + (at[p] - dx) + c;
#pragma GCC unroll 4
      for (uint32_t j = 0; j < kSize; ++j) {
        at[p][c + j] = fresh ? Unactivated(activation, y[j], sums[p][j]) : sums[p][j];
      }
    }
  }
};

// Outputs [o, o + kRows) of some positions, over rows of `n` taps each.
template <uint32_t kRows, uint32_t kCount, typename F>
__attribute__((noinline)) void ConvTile(const F* const* at, F* const* to, uint32_t rows,
                                        uint32_t x_step, uint32_t n, const F* weights,
                                        uint32_t w_step, size_t filter, const F* bias,
                                        Activation activation, size_t o) {
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
    for (uint32_t p = 0; p < kCount; ++p) x[p] = at[p] + i * x_step;
    for (size_t j = 0; j < n; ++j) {
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
    for (uint32_t r = 0; r < kRows; ++r) to[p][o + r] = Activated(activation, sums[r][p]);
  }
}

// With the activation. x and y of `examples`, which are `x_example` and `y_example` apart.
template <typename F>
void ConvForwardTiled(const Layer& given, uint32_t examples, const F* x, size_t x_example,
                      const F* weights, const F* bias, F* y, size_t y_example) {
  const Layer layer = Flattened(given);
  const size_t in_c = layer.in_c, out_c = layer.out_c;
  const size_t x_step = layer.in_w * in_c;
  const size_t w_step = layer.kernel_w * in_c;
  const size_t filter = layer.kernel_h * w_step;
  const F* from = layer.bias_count != 0 ? bias : nullptr;
  ForOutputRects(layer, [&](const Run& v, const Run& h) {
    const Places<const F> xs = {x + (v.at * layer.in_w + h.at) * in_c, h.at_step * in_c,
                                v.at_step * x_step, x_example};
    const Places<F> ys = {y + (v.first * layer.out_w + h.first) * out_c, out_c, layer.out_w * out_c,
                          y_example};
    const F* w = weights + v.tap * w_step + h.tap * in_c;
    uint32_t rows = v.taps;
    uint32_t n = static_cast<uint32_t>(h.taps * in_c);
    if (n == x_step && n == w_step) {  // one row behind the other
      n *= rows;
      rows = rows == 0 ? 0 : 1;
    }
    const size_t fit = kHeld<F> / (rows * n + 1) / kTileRows * kTileRows;
    const size_t most = fit < kTileRows ? kTileRows : fit;
    for (size_t first = 0; first < out_c; first += most) {
      const size_t end = first + most < out_c ? first + most : out_c;
      ForPositions(v.count, h.count, examples, xs, ys, [&](auto some, auto at, auto to) {
        ForTiles<kTileRows>(
            end,
            [&](auto block, size_t o) {
              ConvTile<decltype(block)::kSize, decltype(some)::kSize>(
                  at, to, rows, static_cast<uint32_t>(x_step), n, w, static_cast<uint32_t>(w_step),
                  filter, from, layer.activation, o);
            },
            first);
      });
    }
  });
}

// Channels of the gradients of some inputs, which reach their outputs through the same taps: `to`
// is where the first of kChannels lies, `dy` that of each one's first output, of which there are
// `rows` by `columns`, each with n channels. The weights of the first output's first channel are at
// `w`, those of the next channel, column and row as far on.
template <uint32_t kChannels, uint32_t kCount, typename F>
__attribute__((noinline)) void ConvBackTile(const F* const* dy, F* const* to, uint32_t rows,
                                            uint32_t columns, size_t n, size_t dy_row, const F* w,
                                            size_t w_channel, ptrdiff_t w_column, ptrdiff_t w_row,
                                            size_t c, const Inward<F>& inward) {
  F sums[kCount][kChannels];
  inward.Start(to, c, sums);
  for (uint32_t oy = 0; oy < rows; ++oy) {
    for (uint32_t ox = 0; ox < columns; ++ox) {
      const F* factors = w + oy * w_row + ox * w_column;
      const F* d[kCount];
#pragma GCC unroll 4
      for (uint32_t p = 0; p < kCount; ++p) d[p] = dy[p] + oy * dy_row + ox * n;
      for (size_t k = 0; k < n; ++k, factors += w_channel) {
        F held[kChannels];
#pragma GCC unroll 4
        for (uint32_t j = 0; j < kChannels; ++j) held[j] = InRegister(factors[j]);
#pragma GCC unroll 4
        for (uint32_t p = 0; p < kCount; ++p) {
          const F delta = InRegister(d[p][k]);
#pragma GCC unroll 4
          for (uint32_t j = 0; j < kChannels; ++j) sums[p][j] = sums[p][j] + delta * held[j];
        }
      }
    }
  }
  inward.Finish(to, c, sums);
}

// Input by input: each one's sum is that of its outputs in ascending order, as when these hand
// their shares round one after the other.
template <typename F>
void ConvBackwardTiled(const Layer& given, uint32_t examples, const F* weights, const F* dy,
                       size_t dy_example, const Inward<F>& inward) {
  const Layer layer = Flattened(given);
  const size_t in_c = layer.in_c, out_c = layer.out_c;
  const size_t filter = layer.kernel_h * layer.kernel_w * in_c;
  const size_t dy_row = layer.out_w * out_c;
  F packed[kHeld<F>];
  ForInputRects(layer, [&](const Run& v, const Run& h) {
    const Places<const F> from = {dy + v.at * dy_row + h.at * out_c, out_c, dy_row, dy_example};
    const Places<F> to = {inward.dx + (v.first * layer.in_w + h.first) * in_c, h.step * in_c,
                          v.step * layer.in_w * in_c, inward.example};
    const F* w = weights + (v.tap * layer.kernel_w + h.tap) * in_c;
    const ptrdiff_t w_column = -static_cast<ptrdiff_t>(layer.stride_w * in_c);
    const ptrdiff_t w_row = -static_cast<ptrdiff_t>(layer.stride_h * layer.kernel_w * in_c);
    // Weights that many positions read are laid side by side.
    const size_t taps = v.taps * h.taps * out_c;
    const bool one_row = h.taps * out_c == dy_row;
    const size_t n = one_row ? taps : h.taps * out_c;
    const uint32_t rows = one_row ? 1 : v.taps;
    const bool packs =
        v.count * h.count * examples > kTilePositions && taps * kTileRows <= kHeld<F>;
    ForTiles<kTileRows>(in_c, [&](auto channels, size_t c) {
      constexpr uint32_t kSize = decltype(channels)::kSize;
      if (packs) {
        F* put = packed;
        for (uint32_t oy = 0; oy < v.taps; ++oy) {
          for (uint32_t ox = 0; ox < h.taps; ++ox) {
            const F* get = w + oy * w_row + ox * w_column + c;
            for (size_t k = 0; k < out_c; ++k, put += kSize, get += filter) {
              StoreBlock(channels, get, put);
            }
          }
        }
      }
      ForPositions(v.count, h.count, examples, from, to, [&](auto some, auto d, auto at) {
        if (packs) {
          ConvBackTile<kSize, decltype(some)::kSize>(d, at, rows, 1, n, dy_row, packed, kSize, 0,
                                                     static_cast<ptrdiff_t>(n * kSize), c, inward);
        } else {
          ConvBackTile<kSize, decltype(some)::kSize>(d, at, v.taps, h.taps, out_c, dy_row, w + c,
                                                     filter, w_column, w_row, c, inward);
        }
      });
    });
  });
}

}  // namespace tinymia
