// Functions of two int8 values, with numpy's broadcasting: MUL, SUB, PRELU, MAXIMUM, MINIMUM.
// (ADD has a kernel of its own.)
#include "kernels/broadcast.h"
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

struct BinaryParams : Broadcast {
  FixedMultiplier inputs[2] = {{0, 0}, {0, 0}};
  FixedMultiplier output = {0, 0};
  int32_t input_zero_points[2];
  int32_t output_zero_point;
  ActivationRange range;
};

TINYMIA_AT_LOAD Status UseAll(PrepareContext* context, Tensor* inputs, Tensor* output,
                              BinaryParams* p) {
  Status status = context->UseInput(0, 0, &inputs[0]);
  if (status == Status::kOk) status = context->UseInput(1, 1, &inputs[1]);
  if (status == Status::kOk) status = context->UseOutput(output);
  if (status == Status::kOk) status = PrepareBroadcast(inputs, *output, p);
  p->input_zero_points[0] = inputs[0].zero_point;
  p->input_zero_points[1] = inputs[1].zero_point;
  p->output_zero_point = output->zero_point;
  return status;
}

TINYMIA_AT_LOAD Status Activation(PrepareContext* context, OptionsType own, const Tensor& output,
                                  BinaryParams* p) {
  const OptionsType type = context->options_type();
  if (type != own && type != OptionsType::kNone) return Status::kModelMalformed;
  const int32_t code = type == own ? context->options().Scalar<int8_t>(0, 0) : 0;
  return FusedRange(code, output, &p->range);
}

double Product(const Tensor* inputs) {
  return static_cast<double>(inputs[0].scale) * static_cast<double>(inputs[1].scale);
}

TINYMIA_AT_LOAD Status PrepareMul(PrepareContext* context) {
  Tensor inputs[2], output;
  BinaryParams p;
  Status status = UseAll(context, inputs, &output, &p);
  if (status == Status::kOk) status = Activation(context, OptionsType::kMul, output, &p);
  if (status != Status::kOk) return status;
  const double scale = Product(inputs) / static_cast<double>(output.scale);
  if (!ToFixed(scale, &p.output)) return Status::kModelMalformed;
  context->SaveParams(p);
  return Status::kOk;
}

constexpr int32_t kInputShift = 20;  // headroom of the common scale both inputs are brought to

TINYMIA_AT_LOAD Status PrepareSub(PrepareContext* context) {
  Tensor inputs[2], output;
  BinaryParams p;
  Status status = UseAll(context, inputs, &output, &p);
  if (status == Status::kOk) status = Activation(context, OptionsType::kSub, output, &p);
  if (status != Status::kOk) return status;
  const double common = 2 * static_cast<double>(Max(inputs[0].scale, inputs[1].scale));
  const double scale = common / ((1 << kInputShift) * static_cast<double>(output.scale));
  for (int32_t i = 0; i < 2; ++i) {
    if (!ToFixed(static_cast<double>(inputs[i].scale) / common, &p.inputs[i])) {
      return Status::kModelMalformed;
    }
  }
  // The reference stops at an output that is this much finer than the inputs.
  if (!(scale < 1) || !ToFixed(scale, &p.output) || p.output.shift > 0) {
    return Status::kModelUnsupportedType;
  }
  context->SaveParams(p);
  return Status::kOk;
}

TINYMIA_AT_LOAD Status PreparePrelu(PrepareContext* context) {
  Tensor inputs[2], output;
  BinaryParams p;
  const Status status = UseAll(context, inputs, &output, &p);
  if (status != Status::kOk) return status;
  const double scale = static_cast<double>(output.scale);
  if (!ToFixed(static_cast<double>(inputs[0].scale) / scale, &p.inputs[0]) ||
      !ToFixed(Product(inputs) / scale, &p.inputs[1])) {
    return Status::kModelMalformed;
  }
  context->SaveParams(p);
  return Status::kOk;
}

TINYMIA_AT_LOAD Status PrepareExtreme(PrepareContext* context) {
  Tensor inputs[2], output;
  BinaryParams p;
  const Status status = UseAll(context, inputs, &output, &p);
  if (status != Status::kOk) return status;
  context->SaveParams(p);
  return Status::kOk;
}

struct Mul {
  static int32_t Apply(const BinaryParams& p, int32_t a, int32_t b) {
    const int32_t product = (a - p.input_zero_points[0]) * (b - p.input_zero_points[1]);
    return WrapAdd(MultiplyByFixed(product, p.output), p.output_zero_point);
  }
};

struct Sub {
  static int32_t Apply(const BinaryParams& p, int32_t a, int32_t b) {
    const int32_t x = (a - p.input_zero_points[0]) * (1 << kInputShift);
    const int32_t y = (b - p.input_zero_points[1]) * (1 << kInputShift);
    const int32_t rest = MultiplyByFixed(x, p.inputs[0]) - MultiplyByFixed(y, p.inputs[1]);
    return MultiplyByFixed(rest, p.output) + p.output_zero_point;
  }
};

struct Prelu {
  static int32_t Apply(const BinaryParams& p, int32_t a, int32_t b) {
    const int32_t x = a - p.input_zero_points[0];
    const int32_t scaled = x >= 0 ? MultiplyByFixed(x, p.inputs[0])
                                  : MultiplyByFixed(x * (b - p.input_zero_points[1]), p.inputs[1]);
    return WrapAdd(scaled, p.output_zero_point);
  }
};

// The reference compares bytes, whatever they stand for.
struct Maximum {
  static int32_t Apply(const BinaryParams&, int32_t a, int32_t b) { return Max(a, b); }
};

struct Minimum {
  static int32_t Apply(const BinaryParams&, int32_t a, int32_t b) { return Min(a, b); }
};

template <typename Function>
void Eval(const EvalContext& context, const Node& node) {
  const BinaryParams& p = context.Params<BinaryParams>(node);
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
          const int32_t result = Function::Apply(p, *from_a, *from_b);
          *output++ = static_cast<int8_t>(Clamp(result, p.range.min, p.range.max));
        }
      }
    }
  }
}

}  // namespace

extern const Kernel kMulKernel;
extern const Kernel kSubKernel;
extern const Kernel kPreluKernel;
extern const Kernel kMaximumKernel;
extern const Kernel kMinimumKernel;
const Kernel kMulKernel = {BuiltinOp::kMul, PrepareMul, Eval<Mul>};
const Kernel kSubKernel = {BuiltinOp::kSub, PrepareSub, Eval<Sub>};
const Kernel kPreluKernel = {BuiltinOp::kPrelu, PreparePrelu, Eval<Prelu>};
const Kernel kMaximumKernel = {BuiltinOp::kMaximum, PrepareExtreme, Eval<Maximum>};
const Kernel kMinimumKernel = {BuiltinOp::kMinimum, PrepareExtreme, Eval<Minimum>};

}  // namespace tinymia
