// Forward and backward of each kind of layer in float, over any number type F (see lanes.h). Every
// sum runs in one fixed order, so a device and a lane of the twin agree in every bit.
#pragma once

#include "lanes.h"
#include "layer.h"

namespace tinymia {

// y = activation(layer(x)). `other` is the second input of kAdd; weights and bias may be nullptr
// where the layer has none.
template <typename F>
void LayerForward(const Layer& layer, const F* x, const F* other, const F* weights, const F* bias,
                  F* y);

// dy becomes the gradient before the activation; y is the layer's output.
template <typename F>
void ActivationBackward(const Layer& layer, const F* y, F* dy);

// Adds the gradient of the input to dx (and, for kAdd, to dother). dy is behind ActivationBackward.
template <typename F>
void LayerBackward(const Layer& layer, const F* x, const F* y, const F* weights, const F* dy, F* dx,
                   F* dother);

// Squared norm of one example's gradient of the layer's bias and, unless biases_only, weights.
// `scratch` has ScratchSize(layer) entries.
template <typename F>
F LayerGradientNorm2(const Layer& layer, const F* x, const F* dy, bool biases_only, F* scratch);

// to[i] = combine(to[i], gradient[i]) over the layer's weights (unless biases_only), then bias.
template <typename F, typename Combine>
void LayerGradient(const Layer& layer, const F* x, const F* dy, bool biases_only, F* scratch, F* to,
                   Combine combine);

// Entries of scratch that the two above need: one filter of a convolution.
uint32_t ScratchSize(const Layer& layer);

}  // namespace tinymia
