// Functions of one int16 value: LOGISTIC, TANH, LEAKY_RELU, RELU, RELU6.
#include "kernels/kernel.h"
#include "kernels/quantization.h"
#include "kernels/sigmoid.h"

namespace tinymia {
namespace {

struct SigmoidParams {
  int32_t multiplier = 0, shift = 0;  // to three times a number with 12 fractional bits
  uint32_t elements = 0;
};

struct ReluParams {
  FixedMultiplier above = {0, 0}, below = {0, 0};
  bool turned = false;  // what is below changes its sign
  int32_t input_zero_point, output_zero_point;
  ActivationRange range;
  uint32_t elements;
};

TINYMIA_AT_LOAD Status UseBoth(PrepareContext* context, Tensor* input, Tensor* output) {
  Status status = context->UseInput(0, 0, input);
  if (status == Status::kOk) status = context->UseOutput(output);
  if (status != Status::kOk) return status;
  return input->elements == output->elements ? Status::kOk : Status::kModelUnsupportedShape;
}

// Whether the reference takes a scale for a power of two: its logarithm is less than 1/1000 off.
bool Near(float scale, float power) {
  return scale > 0.99930709f * power && scale < 1.0006934f * power;
}

// Two powers of two have a way of their own for TANH, one for LOGISTIC.
template <bool kTwo>
TINYMIA_AT_LOAD Status PrepareSigmoid(PrepareContext* context) {
  constexpr float kFine = 1.0f / 4096;
  constexpr int32_t kLargest = 32767;
  Tensor input, output;
  const Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  if (input.zero_point != 0 || output.zero_point != 0 || !Near(output.scale, 1.0f / 32768)) {
    return Status::kModelUnsupportedType;
  }
  SigmoidParams p;
  p.elements = input.elements;
  if (Near(input.scale, kFine)) {
    p.multiplier = 3;
  } else if (kTwo && Near(input.scale, 2 * kFine)) {
    p.multiplier = 6;
  } else {
    double multiplier = static_cast<double>(input.scale) * 4096.0 * 3.0;
    if (multiplier > kLargest) return Status::kModelUnsupportedType;
    for (; multiplier <= kLargest / 2.0 && p.shift <= 30; ++p.shift) multiplier *= 2;
    p.multiplier = static_cast<int32_t>(multiplier);
    if (p.multiplier == 0 || p.shift > 30) return Status::kModelUnsupportedType;
  }
  context->SaveParams(p);
  return Status::kOk;
}

template <int32_t (*kFunction)(int32_t)>
void EvalSigmoid(const EvalContext& context, const Node& node) {
  const SigmoidParams& p = context.Params<SigmoidParams>(node);
  const int16_t* input = context.Const<int16_t>(node.inputs[0]);
  int16_t* output = context.Mutable<int16_t>(node.output);
  const int32_t round = p.shift > 0 ? 1 << (p.shift - 1) : 0;
  for (uint32_t i = 0; i < p.elements; ++i) {
    const int32_t scaled = WrapAdd(input[i] * p.multiplier, round) >> p.shift;
    output[i] = static_cast<int16_t>(kFunction(scaled));
  }
}

TINYMIA_AT_LOAD Status FinishRelu(PrepareContext* context, const Tensor& input,
                                  const Tensor& output, ReluParams* p) {
  p->input_zero_point = input.zero_point;
  p->output_zero_point = output.zero_point;
  p->elements = input.elements;
  const double ratio = static_cast<double>(input.scale) / static_cast<double>(output.scale);
  if (!ToFixed(ratio, &p->above)) return Status::kModelMalformed;
  context->SaveParams(*p);
  return Status::kOk;
}

TINYMIA_AT_LOAD Status PrepareLeakyRelu(PrepareContext* context) {
  Tensor input, output;
  const Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kLeakyRelu) return Status::kModelMalformed;
  const double slope = static_cast<double>(input.scale) *
                       static_cast<double>(context->options().Scalar<float>(0, 0.0f)) /
                       static_cast<double>(output.scale);
  ReluParams p;
  p.turned = slope < 0;
  if (!ToFixed(p.turned ? -slope : slope, &p.below)) {
    return Status::kModelMalformed;
  }
  p.range = {INT16_MIN, INT16_MAX};
  return FinishRelu(context, input, output, &p);
}

TINYMIA_AT_LOAD Status PrepareRelu(PrepareContext* context) {
  Tensor input, output;
  const Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  if (input.zero_point != 0 || output.zero_point != 0) return Status::kModelUnsupportedType;
  ReluParams p;
  p.range = {0, INT16_MAX};
  return FinishRelu(context, input, output, &p);
}

void EvalRelu(const EvalContext& context, const Node& node) {
  const ReluParams& p = context.Params<ReluParams>(node);
  const int16_t* input = context.Const<int16_t>(node.inputs[0]);
  int16_t* output = context.Mutable<int16_t>(node.output);
  for (uint32_t i = 0; i < p.elements; ++i) {
    const int32_t x = input[i] - p.input_zero_point;
    const int32_t scaled = MultiplyByFixed(x, x < 0 ? p.below : p.above);
    const int32_t value = WrapAdd(x < 0 && p.turned ? -scaled : scaled, p.output_zero_point);
    output[i] = static_cast<int16_t>(Clamp(value, p.range.min, p.range.max));
  }
}

// The reference clamps in the input's quantisation and does not rescale.
TINYMIA_AT_LOAD Status PrepareRelu6(PrepareContext* context) {
  constexpr int32_t kSchemaRelu6 = 3;
  Tensor input, output;
  Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  ReluParams p;
  status = FusedRange(kSchemaRelu6, input, &p.range);
  if (status != Status::kOk) return status;
  p.elements = input.elements;
  context->SaveParams(p);
  return Status::kOk;
}

void EvalRelu6(const EvalContext& context, const Node& node) {
  const ReluParams& p = context.Params<ReluParams>(node);
  const int16_t* input = context.Const<int16_t>(node.inputs[0]);
  int16_t* output = context.Mutable<int16_t>(node.output);
  for (uint32_t i = 0; i < p.elements; ++i) {
    output[i] = static_cast<int16_t>(Clamp(input[i], p.range.min, p.range.max));
  }
}

}  // namespace

extern const Kernel kWideLogisticKernel;
extern const Kernel kWideTanhKernel;
extern const Kernel kWideLeakyReluKernel;
extern const Kernel kWideReluKernel;
extern const Kernel kWideRelu6Kernel;
const Kernel kWideLogisticKernel = {BuiltinOp::kLogistic, PrepareSigmoid<false>,
                                    EvalSigmoid<Sigmoid>, Takes::kInt16};
const Kernel kWideTanhKernel = {BuiltinOp::kTanh, PrepareSigmoid<true>, EvalSigmoid<Tanh>,
                                Takes::kInt16};
const Kernel kWideLeakyReluKernel = {BuiltinOp::kLeakyRelu, PrepareLeakyRelu, EvalRelu,
                                     Takes::kInt16};
const Kernel kWideReluKernel = {BuiltinOp::kRelu, PrepareRelu, EvalRelu, Takes::kInt16};
const Kernel kWideRelu6Kernel = {BuiltinOp::kRelu6, PrepareRelu6, EvalRelu6, Takes::kInt16};

}  // namespace tinymia
