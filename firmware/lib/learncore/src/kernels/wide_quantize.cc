// QUANTIZE where one end has more than 8 bits: between int8, int16 and int32.
#include "kernels/kernel.h"

namespace tinymia {
namespace {

struct WideQuantizeParams {
  FixedMultiplier multiplier = {0, 0};
  int32_t input_zero_point, output_zero_point;
  uint32_t elements;
  TensorType from, to;
};

TINYMIA_AT_LOAD Status Prepare(PrepareContext* context) {
  Tensor input, output;
  Status status = context->ReadInput(0, &input);
  if (status == Status::kOk) status = context->ReadOutput(&output);
  if (status != Status::kOk) return status;
  WideQuantizeParams p;
  p.from = input.type;
  p.to = output.type;
  const bool from_known =
      p.from == TensorType::kInt8 || p.from == TensorType::kInt16 || p.from == TensorType::kInt32;
  const bool to_known =
      p.to == TensorType::kInt8 || p.to == TensorType::kInt16 || p.to == TensorType::kInt32;
  // The reference has no 32 bits to 32.
  if (!from_known || !to_known || (p.from == p.to && p.from == TensorType::kInt32)) {
    return Status::kModelUnsupportedType;
  }
  status = context->UseInputOf(0, 0, p.from, &input);
  if (status == Status::kOk) status = context->UseOutputOf(p.to, &output);
  if (status != Status::kOk) return status;
  if (input.elements != output.elements) return Status::kModelUnsupportedShape;
  const double scale = static_cast<double>(input.scale) / static_cast<double>(output.scale);
  if (!ToFixed(scale, &p.multiplier)) return Status::kModelMalformed;
  p.input_zero_point = input.zero_point;
  p.output_zero_point = output.zero_point;
  p.elements = input.elements;
  context->SaveParams(p);
  return Status::kOk;
}

int32_t Load(const EvalContext& context, Ref ref, TensorType type, uint32_t i) {
  if (type == TensorType::kInt8) return context.Const<int8_t>(ref)[i];
  if (type == TensorType::kInt16) return context.Const<int16_t>(ref)[i];
  return context.Const<int32_t>(ref)[i];
}

void Eval(const EvalContext& context, const Node& node) {
  const WideQuantizeParams& p = context.Params<WideQuantizeParams>(node);
  for (uint32_t i = 0; i < p.elements; ++i) {
    const int32_t input = Load(context, node.inputs[0], p.from, i);
    const int32_t scaled = MultiplyByFixed(WrapAdd(input, -p.input_zero_point), p.multiplier);
    const int32_t value = WrapAdd(scaled, p.output_zero_point);
    if (p.to == TensorType::kInt8) {
      const int32_t clamped = Clamp(value, INT8_MIN, INT8_MAX);
      context.Mutable<int8_t>(node.output)[i] = static_cast<int8_t>(clamped);
    } else if (p.to == TensorType::kInt16) {
      const int32_t clamped = Clamp(value, INT16_MIN, INT16_MAX);
      context.Mutable<int16_t>(node.output)[i] = static_cast<int16_t>(clamped);
    } else {
      context.Mutable<int32_t>(node.output)[i] = value;
    }
  }
}

}  // namespace

extern const Kernel kWideQuantizeKernel;
const Kernel kWideQuantizeKernel = {BuiltinOp::kQuantize, Prepare, Eval, Takes::kInt16};

}  // namespace tinymia
