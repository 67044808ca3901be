// ADD, with numpy's broadcasting.
#include "kernels/broadcast.h"
#include "kernels/dsp.h"
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

constexpr int32_t kInputShift = 20;  // headroom of the common scale both inputs are brought to

// The usual case. The input with the larger scale is halved, which takes no rounding; the other is
// multiplied, and shifted to the right by at least one bit; so is the sum.
struct QuickAdd {
  int32_t halved = 0;    // which input
  int32_t left = 0;      // shift of the other before its multiplication
  uint32_t doubled = 0;  // twice the other's multiplier
  int32_t right = 0;     // its shift
  int32_t nudge = 0;     // half of what is shifted out
  uint32_t sum_doubled = 0;
  int32_t sum_right = -1;  // less the last bit; < 0: the usual case is not given
};

struct AddParams : Broadcast {
  QuickAdd quick;
  FixedMultiplier inputs[2];
  FixedMultiplier output;
  int32_t input_zero_points[2];
  int32_t output_zero_point;
  ActivationRange range;
};

QuickAdd PrepareQuick(const AddParams& p) {
  constexpr int32_t kHalf = 1 << 30;
  QuickAdd q;
  const auto halves = [&p](int32_t i) {
    return p.inputs[i].multiplier == kHalf && p.inputs[i].shift == 0;
  };
  q.halved = halves(0) ? 0 : 1;
  const FixedMultiplier& other = p.inputs[1 - q.halved];
  if (!halves(q.halved) || other.multiplier == 0 || p.output.multiplier == 0) return q;
  // Another half: doubled first, so that there is a bit to shift out, which is zero.
  const bool both = halves(1 - q.halved);
  q.left = kInputShift + (both ? 1 : 0);
  q.right = both ? 1 : -other.shift;
  q.doubled = static_cast<uint32_t>(other.multiplier) * 2;
  q.nudge = 1 << (q.right - 1);
  q.sum_doubled = static_cast<uint32_t>(p.output.multiplier) * 2;
  q.sum_right = -1 - p.output.shift;
  return q;
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
  status = PrepareBroadcast(inputs, output, &p);
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
  p.quick = PrepareQuick(p);
  context->SaveParams(p);
  return Status::kOk;
}

// A run of `count` elements; the inputs' steps are 0 or 1. Here sums have at most 30 bits.
void AddRun(const AddParams& p, const int8_t* const* inputs, const int32_t* steps, int32_t count,
            int8_t* output) {
  const QuickAdd q = p.quick;
  const int32_t other = 1 - q.halved;
  const int8_t* x = inputs[q.halved];
  const int8_t* y = inputs[other];
  const int32_t x_step = steps[q.halved];
  const int32_t y_step = steps[other];
  const int32_t x_offset = -p.input_zero_points[q.halved] * (1 << (kInputShift - 1));
  const int32_t y_zero = p.input_zero_points[other];
  const int32_t zero_point = 2 * p.output_zero_point + 1;
  const ActivationRange range = p.range;
  for (const int8_t* end = output + count; output != end; x += x_step, y += y_step) {
    int32_t scaled = MultiplyHigh((*y - y_zero) * (1 << q.left), q.doubled);
    scaled += scaled >> 31;  // ties go away from zero
    scaled = (scaled + q.nudge) >> q.right;
    const int32_t sum = scaled + *x * (1 << (kInputShift - 1)) + x_offset;
    int32_t high = MultiplyHigh(sum, q.sum_doubled);
    high += high >> 31;
    const int32_t value = ((high >> q.sum_right) + zero_point) >> 1;
    *output++ = static_cast<int8_t>(Clamp(SaturateToInt8(value), range.min, range.max));
  }
}

void AddSlowly(const AddParams& p, const int8_t* const* inputs, const int32_t* steps, int32_t count,
               int8_t* output) {
  for (int32_t n = 0; n < count; ++n) {
    int32_t sum = 0;
    for (int32_t k = 0; k < 2; ++k) {
      const int32_t value = inputs[k][n * steps[k]] - p.input_zero_points[k];
      sum += MultiplyByFixed(value * (1 << kInputShift), p.inputs[k]);
    }
    const int32_t result = MultiplyByFixed(sum, p.output) + p.output_zero_point;
    output[n] = static_cast<int8_t>(Clamp(result, p.range.min, p.range.max));
  }
}

void Eval(const EvalContext& context, const Node& node) {
  const AddParams& p = context.Params<AddParams>(node);
  const int8_t* a = context.Input(node, 0);
  const int8_t* b = context.Input(node, 1);
  int8_t* output = context.Output(node);
  const int32_t* sa = p.strides[0];
  const int32_t* sb = p.strides[1];
  const int32_t steps[2] = {sa[3], sb[3]};
  for (int32_t i = 0; i < p.dims[0]; ++i) {
    for (int32_t j = 0; j < p.dims[1]; ++j) {
      for (int32_t k = 0; k < p.dims[2]; ++k) {
        const int8_t* const inputs[2] = {a + i * sa[0] + j * sa[1] + k * sa[2],
                                         b + i * sb[0] + j * sb[1] + k * sb[2]};
        (p.quick.sum_right < 0 ? AddSlowly : AddRun)(p, inputs, steps, p.dims[3], output);
        output += p.dims[3];
      }
    }
  }
}

}  // namespace

extern const Kernel kAddKernel;
const Kernel kAddKernel = {BuiltinOp::kAdd, Prepare, Eval};

}  // namespace tinymia
