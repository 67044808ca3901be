// Layers over several examples side by side, in vectors: weights are then read, and sums of
// gradients written, once for many. Every sum runs in the order of kernels.h, so this changes no
// bit.
#pragma once

#include "kernels.h"
#include "kernels_taps.h"
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
  if (IsTiled(layer)) {
    DepthwiseForwardTiled(layer, n, x, x_stride, weights, bias, y, layer.outputs());
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

// Pairs in as few rows as can be: one, where all are as far apart.
inline Pairs Flattened(Pairs p) {
  const bool even = p.x_row == p.columns * p.x_column && p.dy_row == p.columns * p.dy_column;
  if (p.columns == 1) {
    p.x_column = p.x_row;
    p.dy_column = p.dy_row;
  }
  if (p.columns == 1 || even) {
    p.columns *= p.rows;
    p.rows = p.rows == 0 ? 0 : 1;
  }
  return p;
}

// The gradients of one example of kSize outputs and kRuns inputs (or one of its own for each
// output) go to sink.Take, whose arguments these are.
template <bool kOwnInput, uint32_t kSize, uint32_t kRuns, typename F, typename Sink>
__attribute__((noinline)) void GradientTile(Block<kSize>, Block<kRuns>, const Pairs& pairs,
                                            const F* x, const F* dy, const Sink& sink,
                                            uint32_t example, uint32_t slot, uint32_t first,
                                            uint32_t step) {
  F sums[kRuns][kSize];
#pragma GCC unroll 2
  for (uint32_t r = 0; r < kRuns; ++r) {
#pragma GCC unroll 8
    for (uint32_t j = 0; j < kSize; ++j) sums[r][j] = F(0.0f);
  }
  for (uint32_t row = pairs.rows; row != 0; --row) {
    const F* x_at = x;
    const F* dy_at = dy;
    for (uint32_t column = pairs.columns; column != 0; --column) {
      if constexpr (kOwnInput) {
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kSize; ++j) {
          sums[0][j] = sums[0][j] + InRegister(x_at[j]) * dy_at[j];
        }
      } else {
        F shared[kRuns];
#pragma GCC unroll 2
        for (uint32_t r = 0; r < kRuns; ++r) shared[r] = InRegister(x_at[r]);
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kSize; ++j) {
          const F d = InRegister(dy_at[j]);
#pragma GCC unroll 2
          for (uint32_t r = 0; r < kRuns; ++r) sums[r][j] = sums[r][j] + shared[r] * d;
        }
      }
      x_at += pairs.x_column;
      dy_at += pairs.dy_column;
    }
    x += pairs.x_row;
    dy += pairs.dy_row;
  }
  sink.Take(example, slot, first, step, sums);
}

// The gradients of a convolution's weights of n examples go to the sink, those of each example in
// the order of ConvGradient and DepthwiseGradient if it asks for that (kInOrder).
// Take(example, slot, first, step, gradients) gets those of the trained parameters `first`,
// `first + step`, ..., for each further row of them from one further on; `slot` is below kHeld<F>,
// and the same for all examples before it is another parameter's.
template <typename F, typename Sink>
inline void GradientTiles(const Layer& layer, uint32_t n, const F* x, size_t x_example, const F* dy,
                          const Sink& sink) {
  const size_t dy_example = layer.outputs();
  const uint32_t out_c = layer.out_c, in_c = layer.in_c;
  const uint32_t filter = layer.kernel_h * layer.kernel_w * in_c;
  const uint32_t taps = static_cast<uint32_t>(layer.kernel_h) * layer.kernel_w;
  F packed[kHeld<F>];
  for (uint32_t tap = 0; tap < taps; ++tap) {
    const Pairs pairs = Flattened(Pairs(layer, tap / layer.kernel_w, tap % layer.kernel_w));
    const F* const x_at = x + pairs.x;
    const F* const dy_at = dy + pairs.dy;
    if (layer.kind == LayerKind::kDepthwise) {
      ForDepthwiseBlocks(layer, [&](auto block, auto own, uint32_t o, uint32_t c) {
        for (uint32_t b = 0; b < n; ++b) {
          GradientTile<decltype(own)::kValue>(block, Block<1>(), pairs, x_at + b * x_example + c,
                                              dy_at + b * dy_example + o, sink, b, 0,
                                              tap * out_c + o, 1);
        }
      });
      continue;
    }
    ForBlocks(out_c, [&](auto block, uint32_t o) {
      constexpr uint32_t kSize = decltype(block)::kSize;
      constexpr uint32_t kMost = kHeld<F> / 8;
      const uint32_t first = o * filter + tap * in_c;
      // Deltas that many inputs meet are laid side by side, if one in few of a cache's sets would
      // hold them.
      const bool packs =
          pairs.rows == 1 && pairs.columns > 12 && pairs.columns <= kMost && in_c >= 8;
      Pairs p = pairs;
      if (packs) p.dy_column = kSize;
      for (uint32_t start = 0; start < in_c; start += kMost) {
        const uint32_t end = in_c - start < kMost ? in_c : start + kMost;
        for (uint32_t b = 0; b < n; ++b) {
          const F* from = x_at + b * x_example;
          const F* d = dy_at + b * dy_example + o;
          if (packs) {
            for (uint32_t i = 0; i < pairs.columns; ++i) {
              StoreBlock(block, d + i * pairs.dy_column, packed + i * kSize);
            }
            d = packed;
          }
          uint32_t c = start;
          for (; c + 2 <= end; c += 2) {
            GradientTile<false>(block, Block<2>(), p, from + c, d, sink, b, (c - start) * kSize,
                                first + c, filter);
          }
          if (c < end) {
            GradientTile<false>(block, Block<1>(), p, from + c, d, sink, b, (c - start) * kSize,
                                first + c, filter);
          }
        }
      }
    });
  }
}

// As SumPositions, of deltas that are multiplied by `scale` first.
template <uint32_t kSize, typename F>
inline void SumScaled(Block<kSize>, uint32_t positions, uint32_t step, const F* dy, F scale,
                      F* sums) {
#pragma GCC unroll 8
  for (uint32_t j = 0; j < kSize; ++j) sums[j] = F(0.0f);
  for (uint32_t p = 0; p < positions; ++p, dy += step) {
#pragma GCC unroll 8
    for (uint32_t j = 0; j < kSize; ++j) sums[j] = sums[j] + dy[j] * scale;
  }
}

// Whether the gradients below read each delta once only, so that it is quickest to scale it there.
inline bool ScalesLater(const Layer& layer, bool biases_only) {
  return biases_only && (layer.kind == LayerKind::kConv || layer.kind == LayerKind::kDepthwise);
}

// Those of its weights (unless biases_only) and biases. Each example's deltas are multiplied by its
// one of `scales` first, if there are any; only where ScalesLater.
template <typename F, typename Sink>
inline void ConvolutionGradients(const Layer& layer, uint32_t n, const F* x, size_t x_example,
                                 const F* dy, bool biases_only, const F* scales, const Sink& sink) {
  if (!biases_only && ByTaps<F>(layer)) {
    if (layer.kind == LayerKind::kConv) {
      GradientTaps<false>(layer, n, x, x_example, dy, sink);
    } else {
      GradientTaps<true>(layer, n, x, x_example, dy, sink);
    }
    return;
  }
  if (!biases_only) GradientTiles(layer, n, x, x_example, dy, sink);
  const uint32_t positions = static_cast<uint32_t>(layer.out_h) * layer.out_w;
  const uint32_t bias = biases_only ? 0 : layer.weight_count;
  ForBlocks(layer.bias_count, [&](auto block, uint32_t o) {
    for (uint32_t b = 0; b < n; ++b) {
      F sums[1][decltype(block)::kSize];
      const F* d = dy + b * layer.outputs() + o;
      if (scales == nullptr) {
        SumPositions(block, positions, layer.out_c, d, sums[0]);
      } else {
        SumScaled(block, positions, layer.out_c, d, scales[b], sums[0]);
      }
      sink.Take(b, 0, bias + o, 1, sums);
    }
  });
}

// Squares of gradients are added to each example's sum.
template <typename F>
struct SquareSink {
  static constexpr bool kInOrder = true;
  F* sums;
  template <uint32_t kSize, uint32_t kRuns>
  void Take(uint32_t b, uint32_t, uint32_t, uint32_t, const F (&g)[kRuns][kSize]) const {
    F sum = sums[b];
#pragma GCC unroll 2
    for (uint32_t r = 0; r < kRuns; ++r) {
#pragma GCC unroll 8
      for (uint32_t j = 0; j < kSize; ++j) sum = sum + g[r][j] * g[r][j];
    }
    sums[b] = sum;
  }
};

// Gradients are summed up over the examples; see DenseGradientTogether.
template <typename F, typename Sums>
struct SumSink {
  static constexpr bool kInOrder = false;
  Sums sums;
  uint32_t last;
  F* held;  // [kHeld<F>]
  template <uint32_t kSize, uint32_t kRuns>
  void Take(uint32_t b, uint32_t slot, uint32_t first, uint32_t step,
            const F (&g)[kRuns][kSize]) const {
    const auto each = [&](auto body) {
#pragma GCC unroll 2
      for (uint32_t r = 0; r < kRuns; ++r) {
#pragma GCC unroll 8
        for (uint32_t j = 0; j < kSize; ++j) {
          body(held[slot + r * kSize + j], first + r + j * step, g[r][j]);
        }
      }
    };
    const auto added = [&](F sum, size_t index, F gradient) {
      if (b != 0) return sums.Add(b, sum, gradient);
      if constexpr (Sums::kFresh) {
        return gradient;
      } else {
        return sums.Add(0, sums.Start(index), gradient);
      }
    };
    if (b == last) {
      each([&](F& sum, size_t index, F gradient) {
        sums.Finish(index, added(sum, index, gradient));
      });
    } else {
      each([&](F& sum, size_t index, F gradient) { sum = added(sum, index, gradient); });
    }
  }
};

// Adds to norms[b] what LayerGradientNorm2 gives for example b.
template <typename F>
void AddGradientNorms(const Layer& layer, uint32_t n, const F* x, size_t x_stride, const F* dy,
                      bool biases_only, F* norms) {
  F sums[kMostTogether] = {};
  if (layer.kind == LayerKind::kDense) {
    DenseNormsTogether(layer, x, x_stride, n, dy, biases_only, sums);
  } else {
    ConvolutionGradients(layer, n, x, x_stride, dy, biases_only, static_cast<const F*>(nullptr),
                         SquareSink<F>{sums});
  }
  for (uint32_t b = 0; b < n; ++b) norms[b] = norms[b] + sums[b];
}

// What becomes of the gradients of n examples; `sums` is one of DenseGradientTogether's.
template <typename F, typename Sums>
void LayerGradientTogether(const Layer& layer, uint32_t n, const F* x, size_t x_stride, const F* dy,
                           bool biases_only, Sums sums, const F* scales = nullptr) {
  if (layer.kind == LayerKind::kDense) {
    DenseGradientTogether(layer, x, x_stride, n, dy, biases_only, sums);
    return;
  }
  F held[kHeld<F>];
  ConvolutionGradients(layer, n, x, x_stride, dy, biases_only, scales,
                       SumSink<F, Sums>{sums, n - 1, held});
}

}  // namespace tinymia
