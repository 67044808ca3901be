// Functions of one int8 value, whose 256 results are computed when the model is loaded: LOGISTIC,
// TANH, HARD_SWISH, LEAKY_RELU and QUANTIZE from int8 to int8. Each as the reference computes it.
#include "kernels/exponential.h"
#include "kernels/kernel.h"

namespace tinymia {
namespace {

struct TableParams {
  Ref table;
  uint32_t elements;
};

template <typename Function>
TINYMIA_AT_LOAD void SaveTable(PrepareContext* context, const Tensor& input, Function function) {
  TableParams p;
  p.elements = input.elements;
  int8_t* table = context->Allocate<int8_t>(256, &p.table);
  for (int32_t i = 0; table != nullptr && i < 256; ++i) {
    const int32_t value = function(i + INT8_MIN - input.zero_point);
    table[i] = static_cast<int8_t>(Clamp(value, INT8_MIN, INT8_MAX));
  }
  context->SaveParams(p);
}

TINYMIA_AT_LOAD Status UseBoth(PrepareContext* context, Tensor* input, Tensor* output) {
  Status status = context->UseInput(0, 0, input);
  if (status == Status::kOk) status = context->UseOutput(output);
  if (status != Status::kOk) return status;
  return input->elements == output->elements ? Status::kOk : Status::kModelUnsupportedShape;
}

// Values as Q4.27, and from which one on the result is that of infinity.
struct SigmoidInput {
  FixedMultiplier multiplier = {0, 0};
  int32_t radius = 0;

  bool Prepare(const Tensor& input) {
    constexpr int32_t kFraction = 27;
    const double scale = static_cast<double>(input.scale) * (1 << kFraction);
    if (scale < 0.5) return false;  // the reference's shift would be undefined
    if (!ToFixed(scale, &multiplier)) return true;
    radius = static_cast<int32_t>((INT64_C(15) << kFraction) >> multiplier.shift);
    return true;
  }
};

TINYMIA_AT_LOAD Status PrepareLogistic(PrepareContext* context) {
  Tensor input, output;
  const Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  SigmoidInput in;
  if (output.zero_point != INT8_MIN || !in.Prepare(input)) return Status::kModelUnsupportedType;
  SaveTable(context, input, [&in](int32_t x) -> int32_t {
    if (x <= -in.radius) return INT8_MIN;
    if (x >= in.radius) return INT8_MAX;
    const int32_t scaled = MultiplyByFixed(x, in.multiplier);
    if (scaled == 0) return 0;
    const int32_t positive = ReciprocalOnePlus(ExpNegative<27>(scaled > 0 ? -scaled : scaled));
    const int32_t result = scaled > 0 ? positive : INT32_MAX - positive;
    return RoundingShiftRight(result, 31 - 8) + INT8_MIN;
  });
  return Status::kOk;
}

TINYMIA_AT_LOAD Status PrepareTanh(PrepareContext* context) {
  Tensor input, output;
  const Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  SigmoidInput in;
  if (!in.Prepare(input)) return Status::kModelUnsupportedType;
  SaveTable(context, input, [&in](int32_t x) -> int32_t {
    if (x <= -in.radius) return INT8_MIN;
    if (x >= in.radius) return INT8_MAX;
    const int32_t scaled = MultiplyByFixed(x, in.multiplier);
    if (scaled == 0) return 0;
    // Twice the value is the same number with one fractional bit less.
    const int32_t negative = OneMinusOverOnePlus(ExpNegative<26>(scaled > 0 ? -scaled : scaled));
    return RoundingShiftRight(scaled > 0 ? negative : -negative, 31 - 7);
  });
  return Status::kOk;
}

int32_t Saturate16(int64_t value) {
  return static_cast<int32_t>(Min<int64_t>(Max<int64_t>(value, INT16_MIN), INT16_MAX));
}

int32_t HighMul16(int32_t a, int32_t b) { return Saturate16((a * b + (1 << 14)) >> 15); }

// A multiplier in 16 bits. The reference's right shifts would be undefined beyond 15.
bool Multiplier16(double value, FixedMultiplier* m) {
  if (!ToFixed(value, m) || m->shift < -15) return false;
  m->multiplier = static_cast<int32_t>(
      Min<int64_t>((static_cast<int64_t>(m->multiplier) + (1 << 15)) >> 16, INT16_MAX));
  return true;
}

TINYMIA_AT_LOAD Status PrepareHardSwish(PrepareContext* context) {
  Tensor input, output;
  const Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  const double fine_scale = static_cast<double>(input.scale) / 128;
  FixedMultiplier to_output, to_relu;
  if (!Multiplier16(fine_scale / static_cast<double>(output.scale), &to_output) ||
      to_output.shift > 0 || !Multiplier16(fine_scale / (3.0 / 32768), &to_relu)) {
    return Status::kModelUnsupportedType;
  }
  SaveTable(context, input, [&](int32_t x) -> int32_t {
    const int32_t fine = x * (1 << 7);
    // x moved from [-3, 3] to [0, 1], saturated only where that does not show.
    int32_t relu = fine;
    if (to_relu.shift > 0) {
      relu = Saturate16(relu * (INT64_C(1) << (to_relu.shift - 1)));
      relu = Saturate16(HighMul16(relu, to_relu.multiplier) * INT64_C(2));
    } else {
      relu = RoundingShiftRight(HighMul16(relu, to_relu.multiplier), -to_relu.shift);
    }
    relu = (relu + (1 << 15)) >> 1;
    const int32_t product = relu * HighMul16(fine, to_output.multiplier) / (1 << 15);
    return RoundingShiftRight(product, -to_output.shift) + output.zero_point;
  });
  return Status::kOk;
}

TINYMIA_AT_LOAD Status PrepareLeakyRelu(PrepareContext* context) {
  Tensor input, output;
  const Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kLeakyRelu) return Status::kModelMalformed;
  const double in = static_cast<double>(input.scale), out = static_cast<double>(output.scale);
  const double slope = in * static_cast<double>(context->options().Scalar<float>(0, 0.0f)) / out;
  FixedMultiplier above, below;
  if (!ToFixed(in / out, &above) || !ToFixed(slope < 0 ? -slope : slope, &below)) {
    return Status::kModelMalformed;
  }
  SaveTable(context, input, [&](int32_t x) -> int32_t {
    const int32_t scaled = MultiplyByFixed(x, x < 0 ? below : above);
    return WrapAdd(x < 0 && slope < 0 ? -scaled : scaled, output.zero_point);
  });
  return Status::kOk;
}

TINYMIA_AT_LOAD Status PrepareQuantize(PrepareContext* context) {
  Tensor input, output;
  const Status status = UseBoth(context, &input, &output);
  if (status != Status::kOk) return status;
  FixedMultiplier multiplier;
  const double scale = static_cast<double>(input.scale) / static_cast<double>(output.scale);
  if (!ToFixed(scale, &multiplier)) return Status::kModelMalformed;
  SaveTable(context, input, [&](int32_t x) -> int32_t {
    return WrapAdd(MultiplyByFixed(x, multiplier), output.zero_point);
  });
  return Status::kOk;
}

void Eval(const EvalContext& context, const Node& node) {
  const TableParams& p = context.Params<TableParams>(node);
  const int8_t* zero = context.Const<int8_t>(p.table) - INT8_MIN;
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  for (uint32_t i = 0; i < p.elements; ++i) output[i] = zero[input[i]];
}

}  // namespace

extern const Kernel kLogisticKernel;
extern const Kernel kTanhKernel;
extern const Kernel kHardSwishKernel;
extern const Kernel kLeakyReluKernel;
extern const Kernel kQuantizeKernel;
const Kernel kLogisticKernel = {BuiltinOp::kLogistic, PrepareLogistic, Eval};
const Kernel kTanhKernel = {BuiltinOp::kTanh, PrepareTanh, Eval};
const Kernel kHardSwishKernel = {BuiltinOp::kHardSwish, PrepareHardSwish, Eval};
const Kernel kLeakyReluKernel = {BuiltinOp::kLeakyRelu, PrepareLeakyRelu, Eval};
const Kernel kQuantizeKernel = {BuiltinOp::kQuantize, PrepareQuantize, Eval};

}  // namespace tinymia
