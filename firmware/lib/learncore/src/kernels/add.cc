// ADD, with numpy's broadcasting.
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

constexpr int32_t kInputShift = 20;  // headroom of the common scale both inputs are brought to

struct AddParams {
  FixedMultiplier inputs[2];
  FixedMultiplier output;
  int32_t input_zero_points[2];
  int32_t output_zero_point;
  ActivationRange range;
  int32_t dims[4] = {1, 1, 1, 1};
  int32_t strides[2][4];
};

// Right-aligned dimension i of four.
int32_t Dim(const Tensor& tensor, int32_t i) {
  const int32_t at = i - (4 - tensor.rank);
  return at < 0 ? 1 : tensor.dims[at];
}

Status PrepareShape(const Tensor* inputs, const Tensor& output, AddParams* p) {
  if (output.rank != Max(inputs[0].rank, inputs[1].rank)) return Status::kModelUnsupportedShape;
  int32_t accumulated[2] = {1, 1};
  for (int32_t i = 3; i >= 0; --i) {
    const int32_t a = Dim(inputs[0], i);
    const int32_t b = Dim(inputs[1], i);
    if (a != b && a != 1 && b != 1) return Status::kModelUnsupportedShape;
    p->dims[i] = Max(a, b);
    if (Dim(output, i) != p->dims[i]) return Status::kModelUnsupportedShape;
    for (int32_t k = 0; k < 2; ++k) {
      const int32_t dim = Dim(inputs[k], i);
      p->strides[k][i] = dim == 1 ? 0 : accumulated[k];
      accumulated[k] *= dim;
    }
  }
  if (SameShape(inputs[0], inputs[1])) {  // one flat loop
    p->dims[0] = p->dims[1] = p->dims[2] = 1;
    p->dims[3] = static_cast<int32_t>(output.elements);
    p->strides[0][3] = p->strides[1][3] = 1;
  }
  return Status::kOk;
}

Status Prepare(PrepareContext* context) {
  Tensor inputs[2], output;
  Status status = context->UseInput(0, 0, &inputs[0]);
  if (status == Status::kOk) status = context->UseInput(1, 1, &inputs[1]);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  const OptionsType type = context->options_type();
  if (type != OptionsType::kAdd && type != OptionsType::kNone) return Status::kModelMalformed;
  AddParams p;
  status = PrepareShape(inputs, output, &p);
  if (status != Status::kOk) return status;
  const int32_t activation =
      type == OptionsType::kAdd ? context->options().Scalar<int8_t>(0, 0) : 0;
  status = FusedRange(activation, output, &p.range);
  if (status != Status::kOk) return status;
  const double common = 2 * static_cast<double>(Max(inputs[0].scale, inputs[1].scale));
  for (int32_t i = 0; i < 2; ++i) {
    p.input_zero_points[i] = inputs[i].zero_point;
    if (!QuantizeMultiplier(static_cast<double>(inputs[i].scale) / common, &p.inputs[i])) {
      return Status::kModelMalformed;
    }
  }
  const double scale = common / ((1 << kInputShift) * static_cast<double>(output.scale));
  // The reference stops at an output that is this much finer than the inputs.
  if (!(scale < 1.0) || !QuantizeMultiplier(scale, &p.output) || p.output.shift > 0) {
    return Status::kModelUnsupportedType;
  }
  p.output_zero_point = output.zero_point;
  context->SaveParams(p);
  return Status::kOk;
}

void Eval(const EvalContext& context, const Node& node) {
  const AddParams& p = context.Params<AddParams>(node);
  const int8_t* a = context.Input(node, 0);
  const int8_t* b = context.Input(node, 1);
  int8_t* output = context.Output(node);
  const int32_t* sa = p.strides[0];
  const int32_t* sb = p.strides[1];
  for (int32_t i = 0; i < p.dims[0]; ++i) {
    for (int32_t j = 0; j < p.dims[1]; ++j) {
      for (int32_t k = 0; k < p.dims[2]; ++k) {
        const int8_t* from_a = a + i * sa[0] + j * sa[1] + k * sa[2];
        const int8_t* from_b = b + i * sb[0] + j * sb[1] + k * sb[2];
        for (int32_t n = 0; n < p.dims[3]; ++n, from_a += sa[3], from_b += sb[3]) {
          const int32_t x = (*from_a - p.input_zero_points[0]) * (1 << kInputShift);
          const int32_t y = (*from_b - p.input_zero_points[1]) * (1 << kInputShift);
          const int32_t sum = MultiplyByFixed(x, p.inputs[0]) + MultiplyByFixed(y, p.inputs[1]);
          const int32_t result = MultiplyByFixed(sum, p.output) + p.output_zero_point;
          *output++ = static_cast<int8_t>(Clamp(result, p.range.min, p.range.max));
        }
      }
    }
  }
}

}  // namespace

extern const Kernel kAddKernel;
const Kernel kAddKernel = {BuiltinOp::kAdd, Prepare, Eval};

}  // namespace tinymia
