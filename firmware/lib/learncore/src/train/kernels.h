// Forward and backward of each kind of layer in float, over any number type F (see lanes.h). Every
// sum runs in one fixed order, so a device and a lane of the twin agree in every bit. Layers are
// valid: sizes fit each other, strides are not zero.
#pragma once

#include "kernels_conv.h"
#include "kernels_dense.h"
#include "kernels_depthwise.h"
#include "kernels_pool.h"
#include "lanes.h"
#include "layer.h"

namespace tinymia {

// Whether a layer's tiles take its activation along, and on the way back that of its input.
inline bool IsTiled(const Layer& layer) {
  return layer.kind == LayerKind::kConv ||
         (layer.kind == LayerKind::kDepthwise && layer.in_c == layer.out_c);
}

// y = activation(layer(x)). `other` is the second input of kAdd; weights and bias may be nullptr
// where the layer has none.
template <typename F>
void LayerForward(const Layer& layer, const F* x, const F* other, const F* weights, const F* bias,
                  F* y) {
  switch (layer.kind) {
    case LayerKind::kDense:
      if constexpr (Trains(LayerKind::kDense)) DenseForward(layer, x, weights, bias, y);
      break;
    case LayerKind::kConv:
      if constexpr (Trains(LayerKind::kConv)) ConvForward(layer, x, weights, bias, y);
      break;
    case LayerKind::kDepthwise:
      if constexpr (Trains(LayerKind::kDepthwise)) DepthwiseForward(layer, x, weights, bias, y);
      break;
    case LayerKind::kAveragePool:
      if constexpr (Trains(LayerKind::kAveragePool)) AveragePoolForward(layer, x, y);
      break;
    case LayerKind::kMaxPool:
      if constexpr (Trains(LayerKind::kMaxPool)) MaxPoolForward(layer, x, y);
      break;
    case LayerKind::kAdd:
      if constexpr (Trains(LayerKind::kAdd)) AddForward(layer, x, other, y);
      break;
  }
  if (layer.activation == Activation::kNone) return;
  if (kTiles<F> && IsTiled(layer)) return;  // done
  const uint32_t n = layer.outputs();
  const bool capped = layer.activation == Activation::kRelu6;
  for (uint32_t i = 0; i < n; ++i) {
    F v = y[i];
    v = Select(v < F(0.0f), F(0.0f), v);
    if (capped) v = Select(v > F(6.0f), F(6.0f), v);
    y[i] = v;
  }
}

// dy becomes the gradient before the activation; y is the layer's output.
template <typename F>
void ActivationBackward(const Layer& layer, const F* y, F* dy) {
  if (layer.activation == Activation::kNone) return;
  const uint32_t n = layer.outputs();
  const bool capped = layer.activation == Activation::kRelu6;
  for (uint32_t i = 0; i < n; ++i) {
    F d = Select(y[i] > F(0.0f), dy[i], F(0.0f));
    if (capped) d = Select(y[i] < F(6.0f), d, F(0.0f));
    dy[i] = d;
  }
}

// Adds the gradient of the input to dx (and, for kAdd, to dother). dy is behind ActivationBackward.
// kAdd takes nullptr for a gradient that is not wanted.
template <typename F>
void LayerBackward(const Layer& layer, const F* x, const F* y, const F* weights, const F* dy, F* dx,
                   F* dother) {
  switch (layer.kind) {
    case LayerKind::kDense:
      if constexpr (Trains(LayerKind::kDense)) DenseBackward(layer, weights, dy, dx);
      break;
    case LayerKind::kConv:
      if constexpr (Trains(LayerKind::kConv)) ConvBackward(layer, weights, dy, dx);
      break;
    case LayerKind::kDepthwise:
      if constexpr (Trains(LayerKind::kDepthwise)) DepthwiseBackward(layer, weights, dy, dx);
      break;
    case LayerKind::kAveragePool:
      if constexpr (Trains(LayerKind::kAveragePool)) AveragePoolBackward(layer, dy, dx);
      break;
    case LayerKind::kMaxPool:
      if constexpr (Trains(LayerKind::kMaxPool)) MaxPoolBackward(layer, x, y, dy, dx);
      break;
    case LayerKind::kAdd:
      if constexpr (Trains(LayerKind::kAdd)) AddBackward(layer, dy, dx, dother);
      break;
  }
}

// Hands the gradient of either kind of convolution to the sink; other layers learn nothing.
template <typename F>
void ConvolutionGradient(const Layer& layer, const F* x, const F* dy, bool biases_only,
                         Sink<F> sink) {
  if (Trains(LayerKind::kConv) && layer.kind == LayerKind::kConv) {
    ConvGradient(layer, x, dy, biases_only, sink);
  } else if (Trains(LayerKind::kDepthwise) && layer.kind == LayerKind::kDepthwise) {
    DepthwiseGradient(layer, x, dy, biases_only, sink);
  }
}

// Whether dense layers are all that learns.
constexpr bool kTrainsDenseOnly = !Trains(LayerKind::kConv) && !Trains(LayerKind::kDepthwise);

// Squared norm of one example's gradient of the layer's bias and, unless biases_only, weights.
template <typename F>
F LayerGradientNorm2(const Layer& layer, const F* x, const F* dy, bool biases_only) {
  if (kTrainsDenseOnly || layer.kind == LayerKind::kDense) {
    return DenseGradientNorm2(layer, x, dy, biases_only);
  }
  F norm2 = F(0.0f);
  const auto add = [](void* self, uint32_t, uint32_t, uint32_t n, const F* g) {
    F* sum = static_cast<F*>(self);
    for (uint32_t j = 0; j < n; ++j) *sum = *sum + g[j] * g[j];
  };
  ConvolutionGradient(layer, x, dy, biases_only, Sink<F>{add, &norm2});
  return norm2;
}

// to[i] = combine(to[i], gradient[i]) over the layer's weights (unless biases_only), then bias.
template <typename F, typename Combine>
void LayerGradient(const Layer& layer, const F* x, const F* dy, bool biases_only, F* to,
                   Combine combine) {
  if (kTrainsDenseOnly || layer.kind == LayerKind::kDense) {
    DenseGradient(layer, x, dy, biases_only, to, combine);
    return;
  }
  struct Target {
    F* to;
    Combine combine;
  };
  Target target = {to, combine};
  const auto merge = [](void* self, uint32_t first, uint32_t step, uint32_t n, const F* g) {
    const Target& t = *static_cast<Target*>(self);
    F* at = t.to + first;
    for (uint32_t j = 0; j < n; ++j, at += step) *at = t.combine(*at, g[j]);
  };
  ConvolutionGradient(layer, x, dy, biases_only, Sink<F>{merge, &target});
}

}  // namespace tinymia
