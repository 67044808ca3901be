// What the layers' loops share. Sums of up to eight neighbours are held in registers while the rest
// goes by; every single sum still runs in its one order, so the blocking changes no bit.
#pragma once

#include <stdint.h>

#include "block.h"
#include "lanes.h"
#include "layer.h"

namespace tinymia {

// body(Block, first): 0..n in blocks of eight, the rest in fours, twos and ones.
template <typename Body>
inline void ForBlocks(uint32_t n, Body body) {
  uint32_t i = 0;
  for (; n - i >= 8; i += 8) body(Block<8>(), i);
  if ((n & 4) != 0) {
    body(Block<4>(), i);
    i += 4;
  }
  if ((n & 2) != 0) {
    body(Block<2>(), i);
    i += 2;
  }
  if ((n & 1) != 0) body(Block<1>(), i);
}

// y[k] = from[k] + the sum of w[k][j] * x[j], j < n, not zero; rows of w are `stride` apart. `from`
// may be y.
template <typename F, typename W>
void AddProducts(const F* x, uint32_t n, const W* w, uint32_t stride, uint32_t outputs,
                 const F* from, F* y) {
  ForBlocks(n, [=](auto block, uint32_t i) mutable {
    constexpr uint32_t kSize = decltype(block)::kSize;
    F held[kSize];
    HoldBlock(block, x + i, held);
    const W* row = w + i;
    for (uint32_t k = 0; k < outputs; ++k, row += stride) {
      W factors[kSize];
      LoadBlock(block, row, factors);
      F sum = from[k];
#pragma GCC unroll 8
      for (uint32_t j = 0; j < kSize; ++j) sum = sum + F(factors[j]) * held[j];
      y[k] = sum;
    }
    from = y;
  });
}

// dx[j] += the sum of dy[k] * w[k][j], j < n: the way back.
template <typename F, typename W>
void AddTransposed(const F* dy, uint32_t outputs, const W* w, uint32_t stride, uint32_t n, F* dx) {
  ForBlocks(n, [=](auto block, uint32_t i) {
    constexpr uint32_t kSize = decltype(block)::kSize;
    F sums[kSize];
    HoldBlockHigh(block, dx + i, sums);
    const W* row = w + i;
    for (uint32_t k = 0; k < outputs; ++k, row += stride) {
      W factors[kSize];
      LoadBlock(block, row, factors);
      const F d = dy[k];
#pragma GCC unroll 8
      for (uint32_t j = 0; j < kSize; ++j) sums[j] = sums[j] + d * F(factors[j]);
    }
    StoreBlock(block, sums, dx + i);
  });
}

template <typename F>
F SquaredNorm(const F* x, uint32_t n) {
  F sum = F(0.0f);
  for (; n >= 8; n -= 8, x += 8) {
    F values[8];
    LoadBlock(Block<8>(), x, values);
#pragma GCC unroll 8
    for (uint32_t j = 0; j < 8; ++j) sum = sum + values[j] * values[j];
  }
  for (uint32_t j = 0; j < n; ++j) sum = sum + x[j] * x[j];
  return sum;
}

// What an output's window covers along one axis: `count` taps from tap `tap` on, which meet the
// inputs from `at` on. Padding is cut off.
struct Window {
  uint32_t tap;
  uint32_t count;
  uint32_t at;

  Window(uint32_t output, uint32_t kernel, uint32_t stride, uint32_t pad, uint32_t inputs) {
    const uint32_t start = output * stride;  // in the padded input; below 2^32 for 16-bit sizes
    const uint32_t limit = inputs + pad;
    tap = start < pad ? pad - start : 0;
    const uint32_t left = start < limit ? limit - start : 0;
    const uint32_t end = left < kernel ? left : kernel;
    count = tap < end ? end - tap : 0;
    at = start < pad ? 0 : start - pad;
  }
};

inline Window WindowY(const Layer& layer, uint32_t output) {
  return Window(output, layer.kernel_h, layer.stride_h, layer.pad_top, layer.in_h);
}

inline Window WindowX(const Layer& layer, uint32_t output) {
  return Window(output, layer.kernel_w, layer.stride_w, layer.pad_left, layer.in_w);
}

// The other way round: the `count` outputs from `first` on whose windows have the tap on an input,
// for `first` the one at `at`, each further `stride` inputs on. Strides are not zero.
struct Reach {
  uint32_t first;
  uint32_t count;
  uint32_t at;

  Reach(uint32_t tap, uint32_t outputs, uint32_t stride, uint32_t pad, uint32_t inputs) {
    const uint32_t limit = inputs + pad;
    first = tap < pad ? (pad - tap + stride - 1) / stride : 0;
    const uint32_t all = tap < limit ? (limit - tap + stride - 1) / stride : 0;
    const uint32_t end = all < outputs ? all : outputs;
    count = first < end ? end - first : 0;
    at = first * stride + tap - pad;
  }
};

// Where in x and dy the pairs lie whose products make up the gradient of one tap's weights.
struct Pairs {
  uint32_t rows, columns;  // of outputs
  uint32_t x, dy;          // first of them
  uint32_t x_row, x_column, dy_row, dy_column;

  Pairs(const Layer& l, uint32_t tap_y, uint32_t tap_x) {
    const Reach v(tap_y, l.out_h, l.stride_h, l.pad_top, l.in_h);
    const Reach h(tap_x, l.out_w, l.stride_w, l.pad_left, l.in_w);
    rows = h.count == 0 ? 0 : v.count;
    columns = h.count;
    x_column = static_cast<uint32_t>(l.stride_w) * l.in_c;
    x_row = static_cast<uint32_t>(l.stride_h) * l.in_w * l.in_c;
    dy_column = l.out_c;
    dy_row = static_cast<uint32_t>(l.out_w) * l.out_c;
    x = rows == 0 ? 0 : (v.at * l.in_w + h.at) * l.in_c;
    dy = rows == 0 ? 0 : (v.first * l.out_w + h.first) * l.out_c;
  }
};

// The gradient of a block of weights of one tap: sums[j] = the sum of x * dy[j] over all pairs, or
// of x[j] * dy[j] where each output channel has its own input channel.
template <bool kOwnInput, uint32_t kSize, typename F>
__attribute__((noinline)) void SumPairs(Block<kSize> block, const Pairs& pairs, const F* x,
                                        const F* dy, F* to) {
  F sums[kSize];
#pragma GCC unroll 8
  for (uint32_t j = 0; j < kSize; ++j) sums[j] = F(0.0f);
  x += pairs.x;
  dy += pairs.dy;
  for (uint32_t row = pairs.rows; row != 0; --row) {
    const F* x_at = x;
    const F* dy_at = dy;
    for (uint32_t column = pairs.columns; column != 0; --column) {
      F d[kSize];
      LoadBlock(block, dy_at, d);
      if constexpr (kOwnInput) {
        F own[kSize];
        HoldBlockHigh(block, x_at, own);
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kSize; ++j) sums[j] = sums[j] + own[j] * d[j];
      } else {
        const F shared = *x_at;
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kSize; ++j) sums[j] = sums[j] + shared * d[j];
      }
      x_at += pairs.x_column;
      dy_at += pairs.dy_column;
    }
    x += pairs.x_row;
    dy += pairs.dy_row;
  }
  StoreBlock(block, sums, to);
}

// Where gradients go, block by block: take(self, first, step, n, gradients) gets those of the
// trained parameters `first`, `first + step`, ... A pointer, so that there is one copy of the
// loops.
template <typename F>
struct Sink {
  void (*take)(void* self, uint32_t first, uint32_t step, uint32_t n, const F* gradients);
  void* self;
};

// sums[j] = the sum of dy[j] over positions, which are `step` apart.
template <uint32_t kSize, typename F>
inline void SumPositions(Block<kSize> block, uint32_t positions, uint32_t step, const F* dy,
                         F* sums) {
#pragma GCC unroll 8
  for (uint32_t j = 0; j < kSize; ++j) sums[j] = F(0.0f);
  for (uint32_t p = 0; p < positions; ++p, dy += step) {
    F d[kSize];
    LoadBlock(block, dy, d);
#pragma GCC unroll 8
    for (uint32_t j = 0; j < kSize; ++j) sums[j] = sums[j] + d[j];
  }
}

// The gradient of the bias of a convolution, whose number among the trained parameters is `first`.
template <typename F>
void BiasGradient(const Layer& layer, const F* dy, uint32_t first, Sink<F> sink) {
  if (layer.bias_count == 0) return;
  const uint32_t positions = static_cast<uint32_t>(layer.out_h) * layer.out_w;
  ForBlocks(layer.out_c, [=](auto block, uint32_t o) {
    F sums[decltype(block)::kSize];
    SumPositions(block, positions, layer.out_c, dy + o, sums);
    sink.take(sink.self, first + o, 1, decltype(block)::kSize, sums);
  });
}

}  // namespace tinymia
