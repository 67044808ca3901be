// Pooling and the sum of two tensors, in float.
#pragma once

#include "kernels_blocks.h"

namespace tinymia {

// body(output, first, rows, columns) for each output position: its first channel's number, the
// first input of its window and how many inputs that covers.
template <typename Body>
inline void ForPoolWindows(const Layer& layer, Body body) {
  uint32_t output = 0;
  for (uint32_t oy = 0; oy < layer.out_h; ++oy) {
    const Window v = WindowY(layer, oy);
    for (uint32_t ox = 0; ox < layer.out_w; ++ox, output += layer.out_c) {
      const Window h = WindowX(layer, ox);
      body(output, (v.at * layer.in_w + h.at) * layer.in_c, v.count, h.count);
    }
  }
}

// An average of nothing is 0, and so is the maximum.
template <typename F>
void AveragePoolForward(const Layer& layer, const F* x, F* y) {
  const uint32_t channels = layer.in_c;
  const uint32_t row = static_cast<uint32_t>(layer.in_w) * channels;
  ForPoolWindows(layer, [=](uint32_t output, uint32_t first, uint32_t rows, uint32_t columns) {
    const uint32_t covered = rows * columns;
    const F count = F(static_cast<float>(covered == 0 ? 1 : covered));
    ForBlocks(channels, [=](auto block, uint32_t c) {
      constexpr uint32_t kSize = decltype(block)::kSize;
      F sums[kSize];
#pragma GCC unroll 8
      for (uint32_t j = 0; j < kSize; ++j) sums[j] = F(0.0f);
      for (uint32_t i = 0; i < rows; ++i) {
        const F* from = x + first + i * row + c;
        for (uint32_t t = 0; t < columns; ++t, from += channels) {
          F values[kSize];
          LoadBlock(block, from, values);
#pragma GCC unroll 8
          for (uint32_t j = 0; j < kSize; ++j) sums[j] = sums[j] + values[j];
        }
      }
#pragma GCC unroll 8
      for (uint32_t j = 0; j < kSize; ++j) sums[j] = sums[j] / count;
      StoreBlock(block, sums, y + output + c);
    });
  });
}

template <typename F>
void AveragePoolBackward(const Layer& layer, const F* dy, F* dx) {
  const uint32_t channels = layer.in_c;
  const uint32_t row = static_cast<uint32_t>(layer.in_w) * channels;
  ForPoolWindows(layer, [=](uint32_t output, uint32_t first, uint32_t rows, uint32_t columns) {
    const uint32_t covered = rows * columns;
    const F count = F(static_cast<float>(covered == 0 ? 1 : covered));
    ForBlocks(channels, [=](auto block, uint32_t c) {
      constexpr uint32_t kSize = decltype(block)::kSize;
      F shares[kSize];
      LoadBlock(block, dy + output + c, shares);
#pragma GCC unroll 8
      for (uint32_t j = 0; j < kSize; ++j) shares[j] = shares[j] / count;
      for (uint32_t i = 0; i < rows; ++i) {
        F* to = dx + first + i * row + c;
        for (uint32_t t = 0; t < columns; ++t, to += channels) {
          F sums[kSize];
          LoadBlock(block, to, sums);
#pragma GCC unroll 8
          for (uint32_t j = 0; j < kSize; ++j) sums[j] = sums[j] + shares[j];
          StoreBlock(block, sums, to);
        }
      }
    });
  });
}

template <typename F>
void MaxPoolForward(const Layer& layer, const F* x, F* y) {
  const uint32_t channels = layer.in_c;
  const uint32_t row = static_cast<uint32_t>(layer.in_w) * channels;
  ForPoolWindows(layer, [=](uint32_t output, uint32_t first, uint32_t rows, uint32_t columns) {
    const bool empty = rows * columns == 0;
    for (uint32_t c = 0; c < channels; ++c) {
      F top = empty ? F(0.0f) : x[first + c];
      for (uint32_t i = 0; i < rows; ++i) {
        const F* from = x + first + i * row + c;
        for (uint32_t t = 0; t < columns; ++t, from += channels) {
          top = Select(*from > top, *from, top);
        }
      }
      y[output + c] = top;
    }
  });
}

// The first maximum of a window takes its gradient. (Where an activation changed y, dy is zero.)
template <typename F>
void MaxPoolBackward(const Layer& layer, const F* x, const F* y, const F* dy, F* dx) {
  const uint32_t channels = layer.in_c;
  const uint32_t row = static_cast<uint32_t>(layer.in_w) * channels;
  ForPoolWindows(layer, [=](uint32_t output, uint32_t first, uint32_t rows, uint32_t columns) {
    for (uint32_t c = 0; c < channels; ++c) {
      const F top = y[output + c];
      F left = dy[output + c];  // zero once it is given away
      for (uint32_t i = 0; i < rows; ++i) {
        uint32_t at = first + i * row + c;
        for (uint32_t t = 0; t < columns; ++t, at += channels) {
          const MaskOf<F> found = x[at] == top;
          dx[at] = dx[at] + Select(found, left, F(0.0f));
          left = Select(found, F(0.0f), left);
        }
      }
    }
  });
}

template <typename F>
void AddForward(const Layer& layer, const F* x, const F* other, F* y) {
  const uint32_t n = layer.outputs();
  for (uint32_t i = 0; i < n; ++i) y[i] = x[i] + other[i];
}

// Either gradient may be unwanted (nullptr), or both be the same.
template <typename F>
void AddBackward(const Layer& layer, const F* dy, F* dx, F* dother) {
  const uint32_t n = layer.outputs();
  for (uint32_t i = 0; dx != nullptr && i < n; ++i) dx[i] = dx[i] + dy[i];
  for (uint32_t i = 0; dother != nullptr && i < n; ++i) dother[i] = dother[i] + dy[i];
}

}  // namespace tinymia
