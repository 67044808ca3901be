// Stand-in: see micro_interpreter.h. As TFLM's, it holds so many operators and each of them once.
#pragma once

#include <stdint.h>

#include "tflite_model.h"

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {

// In place of TFLMRegistration, which one may choose for each operator.
struct Registered {};

inline Registered Register_ADD_INT8() { return {}; }
inline Registered Register_AVERAGE_POOL_2D_INT8() { return {}; }
inline Registered Register_CONV_2D_INT8() { return {}; }
inline Registered Register_DEPTHWISE_CONV_2D_INT8() { return {}; }
inline Registered Register_FULLY_CONNECTED_INT8() { return {}; }
inline Registered Register_MAX_POOL_2D_INT8() { return {}; }
inline Registered Register_SOFTMAX_INT8() { return {}; }

class MicroOpResolver {
 public:
  bool Has(tinymia::BuiltinOp code) const {
    for (unsigned i = 0; i < count_; ++i) {
      if (codes_[i] == code) return true;
    }
    return false;
  }

 protected:
  static constexpr unsigned kMost = 32;
  tinymia::BuiltinOp codes_[kMost] = {};
  unsigned count_ = 0;
};

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
#define TINYMIA_ADDS(NAME, CODE) \
  TfLiteStatus Add##NAME(const Registered& = {}) { return Add(tinymia::BuiltinOp::CODE); }
  TINYMIA_ADDS(Add, kAdd)
  TINYMIA_ADDS(AveragePool2D, kAveragePool2d)
  TINYMIA_ADDS(Conv2D, kConv2d)
  TINYMIA_ADDS(DepthwiseConv2D, kDepthwiseConv2d)
  TINYMIA_ADDS(ExpandDims, kExpandDims)
  TINYMIA_ADDS(FullyConnected, kFullyConnected)
  TINYMIA_ADDS(MaxPool2D, kMaxPool2d)
  TINYMIA_ADDS(Mean, kMean)
  TINYMIA_ADDS(Pad, kPad)
  TINYMIA_ADDS(PadV2, kPadV2)
  TINYMIA_ADDS(Relu, kRelu)
  TINYMIA_ADDS(Relu6, kRelu6)
  TINYMIA_ADDS(Reshape, kReshape)
  TINYMIA_ADDS(Softmax, kSoftmax)
  TINYMIA_ADDS(Squeeze, kSqueeze)
#undef TINYMIA_ADDS

 private:
  static_assert(tOpCount <= kMost, "raise kMost");
  TfLiteStatus Add(tinymia::BuiltinOp code) {
    if (Has(code) || count_ == tOpCount) return kTfLiteError;
    codes_[count_++] = code;
    return kTfLiteOk;
  }
};

}  // namespace tflite
