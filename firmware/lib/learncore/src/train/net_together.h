// Bodies of net.h, continued: several examples side by side, which only vectors take.
#pragma once

#include "net.h"

namespace tinymia {

template <typename F>
uint32_t Net<F>::HowManyTogether(const Needs& needs) const {
  constexpr uint32_t kSize = static_cast<uint32_t>(sizeof(F));
  if (first_ + 1 == graph_.count) {
    const uint32_t fit = kBytesTogether / (stride_ * kSize);
    return fit < 4 ? 4 : fit > kMostTogether ? kMostTogether : fit;
  }
  // (Dropout has a room for one example's inputs of the last layer.)
  if (!kTiles<F> || needs.dropout) return 0;
  uint32_t values = stride_;
  for (uint32_t i = first_; i < graph_.count; ++i) values += 2 * graph_.layers[i].outputs();
  const uint32_t fit = kBytesDeepTogether / kSize / values;
  return fit < 1 ? 1 : fit > kMostDeepTogether ? kMostDeepTogether : fit;
}

template <typename F>
void Net<F>::ForwardTogether(uint32_t n) {
  turn_ = 0;
  for (uint32_t i = first_; i < graph_.count; ++i) {
    const Layer& layer = graph_.layers[i];
    const Work& work = work_[i];
    const bool adds = layer.kind == LayerKind::kAdd;
    LayerForwardTogether(layer, n, Input(layer.input), InputStride(layer.input),
                         adds ? Input(layer.other) : nullptr, adds ? InputStride(layer.other) : 0,
                         work.weights, work.bias, work.y);
  }
}

// Whether the gradient of a layer's output is written once, by the only layer that reads it, and
// its activation is seen to there.
template <typename F>
bool Net<F>::GoesBackAtOnce(uint32_t layer) const {
  const Layer* reader = nullptr;
  for (uint32_t i = layer + 1; i < graph_.count; ++i) {
    const Layer& other = graph_.layers[i];
    const bool reads_both = other.kind == LayerKind::kAdd && other.other == layer + 1;
    if (other.input != layer + 1 && !reads_both) continue;
    if (reader != nullptr || !IsTiled(other)) return false;
    reader = &other;
  }
  return reader != nullptr && ReachesAll(*reader);
}

template <typename F>
void Net<F>::BackwardTogether(uint32_t n, F* norms, bool dropout) {
  turn_ = 0;
  for (uint32_t b = 0; norms != nullptr && b < n; ++b) norms[b] = F(0.0f);
  for (uint32_t i = first_; i + 1 < graph_.count; ++i) {
    if (!dropout && GoesBackAtOnce(i)) continue;
    const uint32_t values = n * graph_.layers[i].outputs();
    for (uint32_t j = 0; j < values; ++j) work_[i].dy[j] = F(0.0f);
  }
  for (uint32_t i = graph_.count; i-- > first_;) {
    const Layer& layer = graph_.layers[i];
    const Work& work = work_[i];
    const bool dropped = dropout && i + 1 == graph_.count;
    const F* x = dropped ? dropped_ : Input(layer.input);
    const uint32_t stride = InputStride(layer.input);
    const uint32_t outputs = layer.outputs();
    for (uint32_t b = 0; b < n && (dropout || !GoesBackAtOnce(i)); ++b) {
      ActivationBackward(layer, work.y + b * outputs, work.dy + b * outputs);
    }
    if (norms != nullptr && layer.parametric()) {
      AddGradientNorms(layer, n, x, stride, work.dy, biases_only(), norms);
    }
    const bool adds = layer.kind == LayerKind::kAdd;
    F* dx = InputDelta(layer.input);
    F* dother = adds ? InputDelta(layer.other) : nullptr;
    if (dx == nullptr && dother == nullptr) continue;
    if (IsTiled(layer)) {
      const uint32_t from = layer.input - 1u;
      const bool fresh = !dropout && GoesBackAtOnce(from);
      const Inward<F> inward = {dx, stride, fresh, x, graph_.layers[from].activation};
      if (layer.kind == LayerKind::kConv) {
        ConvBackwardTiled(layer, n, work.weights, work.dy, outputs, inward);
      } else {
        DepthwiseBackwardTiled(layer, n, work.weights, work.dy, outputs, inward);
      }
    } else {
      for (uint32_t b = 0; b < n; ++b) {
        LayerBackward(layer, x + b * stride, work.y + b * outputs, work.weights,
                      work.dy + b * outputs, dx == nullptr ? nullptr : dx + b * stride,
                      dother == nullptr ? nullptr : dother + b * InputStride(layer.other));
      }
    }
    for (uint32_t j = 0; dropped && j < layer.inputs(); ++j) dx[j] = dx[j] * dropout_[j];
  }
}

template <typename F>
F Net<F>::ScaleSomeDeltas(F factor, MaskOf<F> drop) {
  if (Any(drop)) {
    ScaleDeltas(factor, drop);
    return F(1.0f);
  }
  for (uint32_t i = first_; i < graph_.count; ++i) {
    const Layer& layer = graph_.layers[i];
    if (!layer.parametric() || ScalesLater(layer, biases_only())) continue;
    F* dy = work_[i].dy + turn() * layer.outputs();
#pragma GCC unroll 4
    for (uint32_t j = 0; j < layer.outputs(); ++j) dy[j] = dy[j] * factor;
  }
  return factor;
}

template <typename F>
template <typename Sums>
void Net<F>::AccumulateTogether(uint32_t n, Sums sums, const F* scales) {
  turn_ = 0;
  for (uint32_t i = first_; i < graph_.count; ++i) {
    const Layer& layer = graph_.layers[i];
    if (!layer.parametric()) continue;
    const Work& work = work_[i];
    LayerGradientTogether(layer, n, Input(layer.input), InputStride(layer.input), work.dy,
                          biases_only(), sums.From(work.theta),
                          ScalesLater(layer, biases_only()) ? scales : nullptr);
  }
}

}  // namespace tinymia
