// The examples of a batch through the last dense layer side by side, in vectors: weights and sums
// are then read and written once for many. Every sum still runs in its one order, so this changes
// no bit.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "block.h"
#include "lanes.h"
#include "layer.h"

namespace tinymia {

// Examples of a batch that vectors take through the layers side by side: as many as a processor's
// nearer caches hold, of a single dense layer's inputs and of what deeper networks work on.
constexpr uint32_t kMostTogether = 32;
constexpr uint32_t kBytesTogether = 128 * 1024;
constexpr uint32_t kMostDeepTogether = 8;
constexpr uint32_t kBytesDeepTogether = 1280 * 1024;

// How many sums are held in registers, beside what they are made of: rows of weights by examples on
// the way forward, rows by columns of weights on the way back.
template <typename F>
struct Tile {
  static constexpr bool kWide = Lanes<F>::kCount == 16;  // which goes with twice as many registers
  static constexpr uint32_t kRows = kWide ? 5 : 2;
  static constexpr uint32_t kExamples = 4;
  static constexpr uint32_t kBackRows = 2;
  static constexpr uint32_t kColumns = kWide ? 8 : 4;
};

// body(Block, first): from..n in blocks of kMost, the rest in halves of it.
template <uint32_t kMost, typename Body>
inline void ForTiles(size_t n, Body body, size_t from = 0) {
  for (; from + kMost <= n; from += kMost) body(Block<kMost>(), from);
  if constexpr (kMost > 1) ForTiles<kMost / 2>(n, body, from);
}

// y[b] = layer(x[b]) of a dense layer without activation, for n examples, whose inputs are `stride`
// apart and outputs one behind the other.
template <typename F>
void DenseForwardTogether(const Layer& layer, const F* x, size_t stride, size_t n, const F* weights,
                          const F* bias, F* y) {
  const size_t inputs = layer.inputs();
  const size_t outputs = layer.out_c;
  const bool has_bias = layer.bias_count != 0;
  ForTiles<Tile<F>::kExamples>(n, [=](auto examples, size_t first) {
    ForTiles<Tile<F>::kRows>(outputs, [=](auto rows, size_t row) {
      constexpr uint32_t kExamples = decltype(examples)::kSize;
      constexpr uint32_t kRows = decltype(rows)::kSize;
      const F* from = x + first * stride;
      const F* w = weights + row * inputs;
      F* to = y + first * outputs + row;
      F sums[kRows][kExamples];
#pragma GCC unroll 8
      for (uint32_t r = 0; r < kRows; ++r) {
        const F start = has_bias ? bias[row + r] : F(0.0f);
#pragma GCC unroll 8
        for (uint32_t b = 0; b < kExamples; ++b) sums[r][b] = start;
      }
      for (size_t i = 0; i < inputs; ++i) {
        F values[kExamples];
#pragma GCC unroll 8
        for (uint32_t b = 0; b < kExamples; ++b) values[b] = InRegister(from[b * stride + i]);
#pragma GCC unroll 8
        for (uint32_t r = 0; r < kRows; ++r) {
          const F factor = w[r * inputs + i];
#pragma GCC unroll 8
          for (uint32_t b = 0; b < kExamples; ++b) sums[r][b] = sums[r][b] + factor * values[b];
        }
      }
#pragma GCC unroll 8
      for (uint32_t b = 0; b < kExamples; ++b) {
#pragma GCC unroll 8
        for (uint32_t r = 0; r < kRows; ++r) to[b * outputs + r] = sums[r][b];
      }
    });
  });
}

// Squared norms of n examples' gradients, as DenseGradientNorm2 gives them.
template <typename F>
void DenseNormsTogether(const Layer& layer, const F* x, size_t stride, size_t n, const F* dy,
                        bool biases_only, F* norms) {
  const size_t inputs = layer.inputs();
  const size_t outputs = layer.out_c;
  const F ones = layer.bias_count != 0 ? F(1.0f) : F(0.0f);
  ForTiles<4>(n, [=](auto block, size_t first) {
    constexpr uint32_t kSize = decltype(block)::kSize;
    F sums[kSize];
    const auto add = [&sums](const F* from, size_t step, size_t count) {
#pragma GCC unroll 8
      for (uint32_t b = 0; b < kSize; ++b) sums[b] = F(0.0f);
      for (size_t i = 0; i < count; ++i) {
#pragma GCC unroll 8
        for (uint32_t b = 0; b < kSize; ++b) {
          const F value = from[b * step + i];
          sums[b] = sums[b] + value * value;
        }
      }
    };
    F factors[kSize];
#pragma GCC unroll 8
    for (uint32_t b = 0; b < kSize; ++b) factors[b] = ones;
    if (!biases_only) {
      add(x + first * stride, stride, inputs);
#pragma GCC unroll 8
      for (uint32_t b = 0; b < kSize; ++b) factors[b] = sums[b] + ones;
    }
    add(dy + first * outputs, outputs, outputs);
#pragma GCC unroll 8
    for (uint32_t b = 0; b < kSize; ++b) norms[first + b] = sums[b] * factors[b];
  });
}

// What becomes of the gradients of n examples, parameter by parameter. Sums is one of:
//   kFresh: whether the first example's gradient starts the sum; otherwise Start(index) does
//   Add(b, sum, gradient): one more example
//   Finish(index, sum)
template <typename F, typename Sums>
void DenseGradientTogether(const Layer& layer, const F* x, size_t stride, size_t n, const F* dy,
                           bool biases_only, Sums sink) {
  const size_t inputs = layer.inputs();
  const size_t outputs = layer.out_c;
  size_t bias = 0;
  if (!biases_only) {
    bias = layer.weight_count;
    ForTiles<Tile<F>::kColumns>(inputs, [=](auto columns, size_t column) {
      ForTiles<Tile<F>::kBackRows>(outputs, [=](auto rows, size_t row) {
        constexpr uint32_t kColumns = decltype(columns)::kSize;
        constexpr uint32_t kRows = decltype(rows)::kSize;
        const F* from = x + column;
        const F* d = dy + row;
        const size_t index = row * inputs + column;
        F sums[kRows][kColumns];
        size_t b = 0;
        if constexpr (Sums::kFresh) {
#pragma GCC unroll 8
          for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
            for (uint32_t j = 0; j < kColumns; ++j) sums[r][j] = d[r] * from[j];
          }
          b = 1;
          from += stride;
          d += outputs;
        } else {
#pragma GCC unroll 8
          for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
            for (uint32_t j = 0; j < kColumns; ++j) sums[r][j] = sink.Start(index + r * inputs + j);
          }
        }
        for (; b < n; ++b, from += stride, d += outputs) {
          F delta[kRows];
#pragma GCC unroll 8
          for (uint32_t r = 0; r < kRows; ++r) delta[r] = d[r];
#pragma GCC unroll 8
          for (uint32_t j = 0; j < kColumns; ++j) {
            const F value = InRegister(from[j]);
#pragma GCC unroll 8
            for (uint32_t r = 0; r < kRows; ++r) {
              sums[r][j] = sink.Add(b, sums[r][j], delta[r] * value);
            }
          }
        }
#pragma GCC unroll 8
        for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
          for (uint32_t j = 0; j < kColumns; ++j) sink.Finish(index + r * inputs + j, sums[r][j]);
        }
      });
    });
  }
  for (uint32_t k = 0; k < layer.bias_count; ++k) {
    F sum = dy[k];
    if constexpr (!Sums::kFresh) sum = sink.Add(0, sink.Start(bias + k), sum);
    for (size_t b = 1; b < n; ++b) sum = sink.Add(b, sum, dy[b * outputs + k]);
    sink.Finish(bias + k, sum);
  }
}

}  // namespace tinymia
