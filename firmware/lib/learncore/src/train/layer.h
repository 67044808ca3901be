// One layer of the float network, as a bundle holds it: 48 bytes, read in place.
#pragma once

#include <stdint.h>

#include "../chosen.h"

namespace tinymia {

enum class LayerKind : uint8_t {
  kDense = 1,
  kConv = 2,
  kDepthwise = 3,
  kAveragePool = 4,
  kMaxPool = 5,
  kAdd = 6,
};

// Whether layers of a kind can be trained in this image.
constexpr bool Trains(LayerKind kind) {
  return (kTrainedKinds >> static_cast<uint32_t>(kind) & 1) != 0;
}

enum class Activation : uint8_t { kNone = 0, kRelu = 1, kRelu6 = 2 };

constexpr uint16_t kNoCut = 0xFFFF;
constexpr uint16_t kWholeModel = 0xFFFE;  // a cut behind the last operator

// Activations are [height][width][channels]. Inputs are numbered: 0 is the network's input, i the
// output of layer i - 1. Weights: dense [out][in]; convolution [out][kernel_h][kernel_w][in];
// depthwise [kernel_h][kernel_w][out], where output channel o reads input channel
// o / (out_c / in_c). A dense layer takes its input flat: in_h * in_w * in_c values. Padding is
// what lies above and left; below and right follow from the sizes. An average leaves padding out
// of its count.
struct Layer {
  LayerKind kind;
  Activation activation;
  uint8_t input;
  uint8_t other;  // second input of kAdd
  uint16_t in_h, in_w, in_c;
  uint16_t out_h, out_w, out_c;
  uint16_t kernel_h, kernel_w;
  uint16_t stride_h, stride_w;
  uint16_t pad_top, pad_left;
  // Operators of the int8 model that compute this layer's input (kWholeModel: all of them); kNoCut
  // when no single tensor separates what lies before from what lies behind.
  uint16_t cut;
  uint16_t reserved;
  uint32_t weights;  // first of its parameters in the bundle's floats; the bias follows the weights
  uint32_t weight_count;
  uint32_t bias_count;
  uint32_t reserved2;

  uint32_t inputs() const { return static_cast<uint32_t>(in_h) * in_w * in_c; }
  uint32_t outputs() const { return static_cast<uint32_t>(out_h) * out_w * out_c; }
  bool parametric() const { return weight_count != 0; }
};
static_assert(sizeof(Layer) == 48, "the bundle's layout");

}  // namespace tinymia
