// RELU and RELU6 as operators of their own (fused ones are part of the layer before).
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

struct ReluParams {
  FixedMultiplier multiplier;
  int32_t input_zero_point;
  int32_t output_zero_point;
  uint32_t elements;
};

struct Relu6Params {
  ActivationRange range;
  uint32_t elements;
};

Status UseBoth(PrepareContext* context, Tensor* input, Tensor* output) {
  Status status = context->UseInput(0, 0, input);
  if (status == Status::kOk) status = context->UseOutput(output);
  if (status != Status::kOk) return status;
  return SameShape(*input, *output) ? Status::kOk : Status::kModelUnsupportedShape;
}

Status PrepareRelu(PrepareContext* context) {
  Tensor input, output;
  const Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  ReluParams p;
  const double scale = static_cast<double>(input.scale) / static_cast<double>(output.scale);
  if (!QuantizeMultiplier(scale, &p.multiplier)) {
    return Status::kModelMalformed;
  }
  p.input_zero_point = input.zero_point;
  p.output_zero_point = output.zero_point;
  p.elements = input.elements;
  context->SaveParams(p);
  return Status::kOk;
}

void EvalRelu(const EvalContext& context, const Node& node) {
  const ReluParams& p = context.Params<ReluParams>(node);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  for (uint32_t i = 0; i < p.elements; ++i) {
    const int32_t scaled = MultiplyByFixed(input[i] - p.input_zero_point, p.multiplier);
    output[i] = static_cast<int8_t>(
        Clamp(WrapAdd(scaled, p.output_zero_point), p.output_zero_point, INT8_MAX));
  }
}

// The reference clamps in the input's quantisation and does not rescale.
Status PrepareRelu6(PrepareContext* context) {
  constexpr int32_t kSchemaRelu6 = 3;
  Tensor input, output;
  Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  Relu6Params p;
  status = FusedRange(kSchemaRelu6, input, &p.range);
  if (status != Status::kOk) return status;
  p.elements = input.elements;
  context->SaveParams(p);
  return Status::kOk;
}

void EvalRelu6(const EvalContext& context, const Node& node) {
  const Relu6Params& p = context.Params<Relu6Params>(node);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  for (uint32_t i = 0; i < p.elements; ++i) {
    output[i] = static_cast<int8_t>(Clamp(input[i], p.range.min, p.range.max));
  }
}

}  // namespace

extern const Kernel kReluKernel;
extern const Kernel kRelu6Kernel;
const Kernel kReluKernel = {BuiltinOp::kRelu, PrepareRelu, EvalRelu};
const Kernel kRelu6Kernel = {BuiltinOp::kRelu6, PrepareRelu6, EvalRelu6};

}  // namespace tinymia
