// The float layers, over one device and over four lanes, for tests.
#include <stdint.h>

#include "train/kernels.h"

namespace tinymia {

// Four devices side by side: as little as the kernels ask of a number.
using Floats4 = float __attribute__((vector_size(16)));
using Ints4 = int32_t __attribute__((vector_size(16)));

struct Mask4 {
  Ints4 m = {};
};
inline Mask4 operator&(Mask4 a, Mask4 b) { return {a.m & b.m}; }
inline Mask4 operator|(Mask4 a, Mask4 b) { return {a.m | b.m}; }
inline Mask4 operator!(Mask4 a) { return {~a.m}; }

struct Float4 {
  Floats4 v;
  Float4() = default;
  Float4(float x) : v{x, x, x, x} {}
  explicit Float4(Floats4 x) : v(x) {}
};
inline Float4 operator+(Float4 a, Float4 b) { return Float4(a.v + b.v); }
inline Float4 operator-(Float4 a, Float4 b) { return Float4(a.v - b.v); }
inline Float4 operator*(Float4 a, Float4 b) { return Float4(a.v * b.v); }
inline Float4 operator/(Float4 a, Float4 b) { return Float4(a.v / b.v); }
inline Mask4 operator<(Float4 a, Float4 b) { return {a.v < b.v}; }
inline Mask4 operator>(Float4 a, Float4 b) { return {a.v > b.v}; }
inline Mask4 operator==(Float4 a, Float4 b) { return {a.v == b.v}; }
inline Float4 Select(Mask4 m, Float4 a, Float4 b) { return Float4(m.m ? a.v : b.v); }

template <>
struct Lanes<Float4> {
  static constexpr uint32_t kCount = 4;
  using Mask = Mask4;
};

// Forward, back and gradient of one layer, each array with all its lanes. dy: of the output in, of
// the value before the activation out. dx, dother and gradient are added to.
template <typename F>
void Run(const Layer& layer, const void* x, const void* other, const void* weights,
         const void* bias, bool biases_only, void* y, void* dy, void* dx, void* dother,
         void* gradient, void* norm2, void* scratch) {
  const F* in = static_cast<const F*>(x);
  F* out = static_cast<F*>(y);
  F* d = static_cast<F*>(dy);
  LayerForward(layer, in, static_cast<const F*>(other), static_cast<const F*>(weights),
               static_cast<const F*>(bias), out);
  ActivationBackward(layer, out, d);
  F* s = static_cast<F*>(scratch);
  *static_cast<F*>(norm2) = LayerGradientNorm2(layer, in, d, biases_only, s);
  LayerBackward(layer, in, out, static_cast<const F*>(weights), d, static_cast<F*>(dx),
                static_cast<F*>(dother));
  LayerGradient(layer, in, d, biases_only, s, static_cast<F*>(gradient),
                [](F sum, F g) { return sum + g; });
}

}  // namespace tinymia

extern "C" uint32_t tinymia_scratch(const tinymia::Layer* layer) {
  return tinymia::ScratchSize(*layer);
}

extern "C" void tinymia_layer(uint32_t lanes, const tinymia::Layer* layer, const void* x,
                              const void* other, const void* weights, const void* bias,
                              bool biases_only, void* y, void* dy, void* dx, void* dother,
                              void* gradient, void* norm2, void* scratch) {
  const auto run = lanes == 4 ? tinymia::Run<tinymia::Float4> : tinymia::Run<float>;
  run(*layer, x, other, weights, bias, biases_only, y, dy, dx, dother, gradient, norm2, scratch);
}
