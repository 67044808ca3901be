// Functions of two int16 values, with numpy's broadcasting: ADD, SUB, MUL, MAXIMUM, MINIMUM.
#include "kernels/broadcast.h"
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

constexpr int32_t kInputShift = 15;  // headroom of the common scale both inputs are brought to

struct WideBinaryParams : Broadcast {
  FixedMultiplier inputs[2] = {{0, 0}, {0, 0}};
  FixedMultiplier output = {0, 0};
  ActivationRange range;
};

TINYMIA_AT_LOAD Status UseAll(PrepareContext* context, Tensor* inputs, Tensor* output,
                              WideBinaryParams* p) {
  Status status = context->UseInput(0, 0, &inputs[0]);
  if (status == Status::kOk) status = context->UseInput(1, 1, &inputs[1]);
  if (status == Status::kOk) status = context->UseOutput(output);
  return status == Status::kOk ? PrepareBroadcast(inputs, *output, p) : status;
}

// What the reference takes as symmetric. (It asks for no less where values are added.)
TINYMIA_AT_LOAD Status Finish(PrepareContext* context, OptionsType own, const Tensor* inputs,
                              const Tensor& output, WideBinaryParams* p) {
  if (inputs[0].zero_point != 0 || inputs[1].zero_point != 0 || output.zero_point != 0) {
    return Status::kModelUnsupportedType;
  }
  const OptionsType type = context->options_type();
  if (type != own && type != OptionsType::kNone) return Status::kModelMalformed;
  const int32_t code = type == own ? context->options().Scalar<int8_t>(0, 0) : 0;
  const Status status = FusedRange(code, output, &p->range);
  if (status == Status::kOk) context->SaveParams(*p);
  return status;
}

TINYMIA_AT_LOAD Status PrepareSum(PrepareContext* context, OptionsType own) {
  Tensor inputs[2], output;
  WideBinaryParams p;
  const Status status = UseAll(context, inputs, &output, &p);
  if (status != Status::kOk) return status;
  const double common = 2 * static_cast<double>(Max(inputs[0].scale, inputs[1].scale));
  const double scale = common / ((1 << kInputShift) * static_cast<double>(output.scale));
  for (int32_t i = 0; i < 2; ++i) {
    if (!ToFixed(static_cast<double>(inputs[i].scale) / common, &p.inputs[i])) {
      return Status::kModelMalformed;
    }
  }
  // The reference stops at an output that is this much finer than the inputs.
  if (!(scale < 1.0) || !ToFixed(scale, &p.output) || p.output.shift > 0) {
    return Status::kModelUnsupportedType;
  }
  return Finish(context, own, inputs, output, &p);
}

TINYMIA_AT_LOAD Status PrepareAdd(PrepareContext* context) {
  return PrepareSum(context, OptionsType::kAdd);
}

TINYMIA_AT_LOAD Status PrepareSub(PrepareContext* context) {
  return PrepareSum(context, OptionsType::kSub);
}

TINYMIA_AT_LOAD Status PrepareMul(PrepareContext* context) {
  Tensor inputs[2], output;
  WideBinaryParams p;
  const Status status = UseAll(context, inputs, &output, &p);
  if (status != Status::kOk) return status;
  const double scale = static_cast<double>(inputs[0].scale) * static_cast<double>(inputs[1].scale) /
                       static_cast<double>(output.scale);
  if (!ToFixed(scale, &p.output)) return Status::kModelMalformed;
  return Finish(context, OptionsType::kMul, inputs, output, &p);
}

// The reference compares the values, whatever they stand for.
TINYMIA_AT_LOAD Status PrepareExtreme(PrepareContext* context) {
  Tensor inputs[2], output;
  WideBinaryParams p;
  const Status status = UseAll(context, inputs, &output, &p);
  if (status != Status::kOk) return status;
  p.range = {INT16_MIN, INT16_MAX};
  context->SaveParams(p);
  return Status::kOk;
}

int32_t Scaled(const WideBinaryParams& p, int32_t i, int32_t value) {
  return MultiplyByFixed(value * (1 << kInputShift), p.inputs[i]);
}

struct Add {
  static int32_t Apply(const WideBinaryParams& p, int32_t a, int32_t b) {
    return MultiplyByFixed(Scaled(p, 0, a) + Scaled(p, 1, b), p.output);
  }
};

struct Sub {
  static int32_t Apply(const WideBinaryParams& p, int32_t a, int32_t b) {
    return MultiplyByFixed(Scaled(p, 0, a) - Scaled(p, 1, b), p.output);
  }
};

struct Mul {
  static int32_t Apply(const WideBinaryParams& p, int32_t a, int32_t b) {
    return MultiplyByFixed(a * b, p.output);
  }
};

struct Maximum {
  static int32_t Apply(const WideBinaryParams&, int32_t a, int32_t b) { return Max(a, b); }
};

struct Minimum {
  static int32_t Apply(const WideBinaryParams&, int32_t a, int32_t b) { return Min(a, b); }
};

template <typename Function>
void Eval(const EvalContext& context, const Node& node) {
  const WideBinaryParams& p = context.Params<WideBinaryParams>(node);
  const int16_t* a = context.Const<int16_t>(node.inputs[0]);
  const int16_t* b = context.Const<int16_t>(node.inputs[1]);
  int16_t* output = context.Mutable<int16_t>(node.output);
  const int32_t* sa = p.strides[0];
  const int32_t* sb = p.strides[1];
  for (int32_t i = 0; i < p.dims[0]; ++i) {
    for (int32_t j = 0; j < p.dims[1]; ++j) {
      for (int32_t k = 0; k < p.dims[2]; ++k) {
        const int16_t* from_a = a + i * sa[0] + j * sa[1] + k * sa[2];
        const int16_t* from_b = b + i * sb[0] + j * sb[1] + k * sb[2];
        for (int32_t n = 0; n < p.dims[3]; ++n, from_a += sa[3], from_b += sb[3]) {
          const int32_t value = Function::Apply(p, *from_a, *from_b);
          *output++ = static_cast<int16_t>(Clamp(value, p.range.min, p.range.max));
        }
      }
    }
  }
}

}  // namespace

extern const Kernel kWideAddKernel;
extern const Kernel kWideSubKernel;
extern const Kernel kWideMulKernel;
extern const Kernel kWideMaximumKernel;
extern const Kernel kWideMinimumKernel;
const Kernel kWideAddKernel = {BuiltinOp::kAdd, PrepareAdd, Eval<Add>, Takes::kInt16};
const Kernel kWideSubKernel = {BuiltinOp::kSub, PrepareSub, Eval<Sub>, Takes::kInt16};
const Kernel kWideMulKernel = {BuiltinOp::kMul, PrepareMul, Eval<Mul>, Takes::kInt16};
const Kernel kWideMaximumKernel = {BuiltinOp::kMaximum, PrepareExtreme, Eval<Maximum>,
                                   Takes::kInt16};
const Kernel kWideMinimumKernel = {BuiltinOp::kMinimum, PrepareExtreme, Eval<Minimum>,
                                   Takes::kInt16};

}  // namespace tinymia
