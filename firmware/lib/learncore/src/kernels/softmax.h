// SOFTMAX over the last dimension, from int8. In a header, so that an image that has the one to
// int8 alone is as quick as if there were no other.
#pragma once

#include "kernels/exponential.h"
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {

constexpr int32_t kDiffFraction = 26;  // differences to the largest input are Q5.26
constexpr int32_t kSumIntegerBits = 12;
constexpr int32_t kMaxDepth = 4095;  // of exponentials <= 1 that fit in Q12.19

struct SoftmaxParams {
  FixedMultiplier multiplier;
  int32_t smallest_diff;  // below it the exponential counts as zero
  int32_t rows, depth;
};

// Results of `type` are in steps of `step`, and the smallest number of that type is zero.
TINYMIA_AT_LOAD inline Status PrepareSoftmax(PrepareContext* context, TensorType type,
                                             int32_t smallest, float step, float tolerance) {
  Tensor input, output;
  Status status = context->UseInputOf(0, 0, TensorType::kInt8, &input);
  if (status == Status::kOk) status = context->UseOutputOf(type, &output);
  if (status != Status::kOk) return status;
  if (input.rank < 1 || !SameShape(input, output)) return Status::kModelUnsupportedShape;
  if (context->options_type() != OptionsType::kSoftmax) return Status::kModelMalformed;
  const float off = output.scale - step;
  if (output.zero_point != smallest || !(off <= tolerance && off >= -tolerance)) {
    return Status::kModelUnsupportedType;
  }
  SoftmaxParams p;
  p.depth = input.dims[input.rank - 1];
  p.rows = static_cast<int32_t>(input.elements) / p.depth;
  if (p.depth > kMaxDepth) return Status::kModelUnsupportedShape;
  const float beta = context->options().Scalar<float>(0, 0.0f);
  if (!IsFinite(beta)) return Status::kModelMalformed;
  constexpr double kLargest = 2147483647.0;
  double scale =
      static_cast<double>(beta) * static_cast<double>(input.scale) * (1 << kDiffFraction);
  if (scale > kLargest) scale = kLargest;
  if (!(scale > 1.0)) return Status::kModelUnsupportedType;
  // At most 2^31 - 1, whose shift is 31.
  if (scale > 1073741824.0) {
    if (!QuantizeMultiplier(scale / 2, &p.multiplier)) return Status::kModelMalformed;
    ++p.multiplier.shift;
  } else if (!QuantizeMultiplier(scale, &p.multiplier)) {
    return Status::kModelMalformed;
  }
  p.smallest_diff = -static_cast<int32_t>((INT64_C(31) << kDiffFraction) >> p.multiplier.shift);
  context->RequestScratch(static_cast<uint32_t>(p.depth) * sizeof(int32_t));
  context->SaveParams(p);
  return Status::kOk;
}

template <typename T>
static void SoftmaxRow(const SoftmaxParams& p, const int8_t* input, int32_t* exponentials,
                       T* output) {
  constexpr int32_t kBits = 8 * static_cast<int32_t>(sizeof(T));
  constexpr int32_t kSmallest = -(1 << (kBits - 1));
  int32_t largest = INT8_MIN;
  for (int32_t c = 0; c < p.depth; ++c) largest = Max<int32_t>(largest, input[c]);
  int32_t sum = 0;
  for (int32_t c = 0; c < p.depth; ++c) {
    const int32_t diff = input[c] - largest;
    exponentials[c] = 0;
    if (diff < p.smallest_diff) continue;
    const int32_t shifted = WrapShiftLeft(diff, p.multiplier.shift);
    exponentials[c] =
        ExpNegative<kDiffFraction>(RoundingDoublingHighMul(shifted, p.multiplier.multiplier));
    sum += RoundingShiftRight(exponentials[c], kSumIntegerBits);
  }
  // The largest input's exponential is 1, so sum >= 2^19.
  int32_t headroom = 0;
  while ((static_cast<uint32_t>(sum) << headroom & 0x80000000u) == 0) ++headroom;
  const uint32_t normalized = static_cast<uint32_t>(sum) << headroom;
  const int32_t scale = ReciprocalOnePlus(static_cast<int32_t>(normalized - 0x80000000u));
  const int32_t exponent = kSumIntegerBits - headroom + 31 - kBits;
  for (int32_t c = 0; c < p.depth; ++c) {
    int32_t value = 0;
    if (exponent <= 31) {
      value = RoundingShiftRight(RoundingDoublingHighMul(scale, exponentials[c]), exponent);
    }
    output[c] = static_cast<T>(Clamp(value + kSmallest, kSmallest, -1 - kSmallest));
  }
}

template <typename T>
static void EvalSoftmax(const EvalContext& context, const Node& node) {
  const SoftmaxParams& p = context.Params<SoftmaxParams>(node);
  const int8_t* input = context.Input(node, 0);
  T* output = context.Mutable<T>(node.output);
  for (int32_t row = 0; row < p.rows; ++row) {
    SoftmaxRow(p, input, context.Scratch<int32_t>(node), output);
    input += p.depth;
    output += p.depth;
  }
}

}  // namespace tinymia
