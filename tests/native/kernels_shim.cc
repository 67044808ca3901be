// The float layers, over one device and over four lanes, for tests.
#include <stdint.h>

#include "train/kernels.h"
#include "vec.h"

namespace tinymia {

// Forward, back and gradient of one layer, each array with all its lanes. dy: of the output in, of
// the value before the activation out. dx, dother and gradient are added to.
template <typename F>
void Run(const Layer& layer, const void* x, const void* other, const void* weights,
         const void* bias, bool biases_only, void* y, void* dy, void* dx, void* dother,
         void* gradient, void* norm2) {
  const F* in = static_cast<const F*>(x);
  F* out = static_cast<F*>(y);
  F* d = static_cast<F*>(dy);
  LayerForward(layer, in, static_cast<const F*>(other), static_cast<const F*>(weights),
               static_cast<const F*>(bias), out);
  ActivationBackward(layer, out, d);
  *static_cast<F*>(norm2) = LayerGradientNorm2(layer, in, d, biases_only);
  LayerBackward(layer, in, out, static_cast<const F*>(weights), d, static_cast<F*>(dx),
                static_cast<F*>(dother));
  LayerGradient(layer, in, d, biases_only, static_cast<F*>(gradient),
                [](F sum, F g) { return sum + g; });
}

}  // namespace tinymia

extern "C" void tinymia_layer(uint32_t lanes, const tinymia::Layer* layer, const void* x,
                              const void* other, const void* weights, const void* bias,
                              bool biases_only, void* y, void* dy, void* dx, void* dother,
                              void* gradient, void* norm2) {
  const auto run = lanes == 4 ? tinymia::Run<tinymia::Vec<4>> : tinymia::Run<float>;
  run(*layer, x, other, weights, bias, biases_only, y, dy, dx, dother, gradient, norm2);
}
