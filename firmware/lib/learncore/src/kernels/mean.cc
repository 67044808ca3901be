// MEAN, SUM, REDUCE_MAX and REDUCE_MIN over one run of neighbouring axes, such as height and width.
// MEAN and SUM of int16, too.
#include "kernels/channels.h"
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

// The input seen as outer x reduced x inner.
struct MeanParams {
  int32_t outer = 1, reduced = 1, inner = 1;
  int32_t input_zero_point, output_zero_point;
  FixedMultiplier multiplier;
};

TINYMIA_AT_LOAD Status ReadAxes(PrepareContext* context, const Tensor& input, bool* reduced) {
  Tensor axes;
  const Status status = context->ReadInt32(1, &axes);
  if (status != Status::kOk) return status;
  if (axes.elements > 8) return Status::kModelUnsupportedShape;  // some may stand there twice
  for (uint32_t i = 0; i < axes.elements; ++i) {
    int32_t axis = context->model()->Int32At(axes, i);
    if (axis < 0 && axis >= -input.rank) axis += input.rank;
    if (axis < 0 || axis >= input.rank) return Status::kModelMalformed;
    reduced[axis] = true;
  }
  return Status::kOk;
}

// The reference folds 1 / count into the multiplier, with as many bits as fit.
void DivideMultiplier(int32_t count, FixedMultiplier* m) {
  int32_t shift = 0;
  while ((count >> shift) > 1) ++shift;
  shift = Min(shift, 31 + m->shift);
  m->multiplier = static_cast<int32_t>((static_cast<int64_t>(m->multiplier) << shift) / count);
  m->shift -= shift;
}

TINYMIA_AT_LOAD Status PrepareShape(PrepareContext* context, Tensor* read, Tensor* result,
                                    MeanParams* params) {
  Status status = context->UseInput(0, 0, read);
  if (status == Status::kOk) status = context->UseOutput(result);
  if (status != Status::kOk) return status;
  const Tensor& input = *read;
  MeanParams& p = *params;
  bool reduced[4] = {};
  status = ReadAxes(context, input, reduced);
  if (status != Status::kOk) return status;
  for (int32_t i = 0; i < input.rank; ++i) {
    const int32_t dim = input.dims[i];
    if (dim == 1) continue;  // belongs to either side
    if (reduced[i]) {
      if (p.inner != 1) return Status::kModelUnsupportedShape;
      p.reduced *= dim;
    } else if (p.reduced == 1) {
      p.outer *= dim;
    } else {
      p.inner *= dim;
    }
  }
  if (result->elements != static_cast<uint32_t>(p.outer) * static_cast<uint32_t>(p.inner)) {
    return Status::kModelUnsupportedShape;
  }
  p.input_zero_point = input.zero_point;
  p.output_zero_point = result->zero_point;
  return Status::kOk;
}

template <bool kMean>
TINYMIA_AT_LOAD Status Prepare(PrepareContext* context) {
  Tensor input, output;
  MeanParams p;
  const Status status = PrepareShape(context, &input, &output, &p);
  if (status != Status::kOk) return status;
  const double scale = static_cast<double>(input.scale) / static_cast<double>(output.scale);
  if (!ToFixed(scale, &p.multiplier)) return Status::kModelMalformed;
  if (kMean) DivideMultiplier(p.reduced, &p.multiplier);
  context->SaveParams(p);
  return Status::kOk;
}

TINYMIA_AT_LOAD Status PrepareExtreme(PrepareContext* context) {
  Tensor input, output;
  MeanParams p;
  const Status status = PrepareShape(context, &input, &output, &p);
  if (status != Status::kOk) return status;
  if (!SameScale(input, output)) return Status::kModelUnsupportedType;
  context->SaveParams(p);
  return Status::kOk;
}

int8_t Finish(const MeanParams& p, int32_t sum) {
  const int32_t scaled = MultiplyByFixed(sum - p.input_zero_point * p.reduced, p.multiplier);
  return static_cast<int8_t>(Clamp(WrapAdd(scaled, p.output_zero_point), INT8_MIN, INT8_MAX));
}

template <bool kMax>
void Eval(const EvalContext& context, const Node& node) {
  const MeanParams& p = context.Params<MeanParams>(node);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  for (int32_t o = 0; o < p.outer; ++o) {
    const Patch patch = {input, 1, p.reduced, 0, p.inner};
    if (kMax) {
      ForEachMax(patch, p.inner, [&](int32_t channel, int32_t largest) {
        output[channel] = static_cast<int8_t>(largest);
      });
    } else {
      ForEachSum(patch, p.inner,
                 [&](int32_t channel, int32_t sum) { output[channel] = Finish(p, sum); });
    }
    input += p.reduced * p.inner;
    output += p.inner;
  }
}

// Calls `visit(index of the output, first of its inputs)` for each output; the inputs lie `inner`
// apart.
template <typename T, typename Visit>
void ForEachOutput(const MeanParams& p, const T* input, Visit visit) {
  for (int32_t o = 0; o < p.outer; ++o) {
    for (int32_t i = 0; i < p.inner; ++i) {
      visit(o * p.inner + i, input + o * p.reduced * p.inner + i);
    }
  }
}

void EvalMin(const EvalContext& context, const Node& node) {
  const MeanParams& p = context.Params<MeanParams>(node);
  int8_t* output = context.Output(node);
  ForEachOutput(p, context.Input(node, 0), [&](int32_t at, const int8_t* values) {
    int8_t least = INT8_MAX;
    for (int32_t k = 0; k < p.reduced; ++k) least = Min(least, values[k * p.inner]);
    output[at] = least;
  });
}

void EvalWide(const EvalContext& context, const Node& node) {
  const MeanParams& p = context.Params<MeanParams>(node);
  int16_t* output = context.Mutable<int16_t>(node.output);
  const int64_t zeros = static_cast<int64_t>(p.input_zero_point) * p.reduced;
  ForEachOutput(p, context.Const<int16_t>(node.inputs[0]), [&](int32_t at, const int16_t* values) {
    int64_t sum = -zeros;
    for (int32_t k = 0; k < p.reduced; ++k) sum += values[k * p.inner];
    // The reference's sum has 32 bits, and wraps.
    const int32_t wrapped = static_cast<int32_t>(static_cast<uint64_t>(sum));
    const int32_t value = WrapAdd(MultiplyByFixed(wrapped, p.multiplier), p.output_zero_point);
    output[at] = static_cast<int16_t>(Clamp(value, INT16_MIN, INT16_MAX));
  });
}

}  // namespace

extern const Kernel kMeanKernel;
extern const Kernel kSumKernel;
extern const Kernel kReduceMaxKernel;
extern const Kernel kReduceMinKernel;
extern const Kernel kWideMeanKernel;
extern const Kernel kWideSumKernel;
const Kernel kMeanKernel = {BuiltinOp::kMean, Prepare<true>, Eval<false>};
const Kernel kSumKernel = {BuiltinOp::kSum, Prepare<false>, Eval<false>};
const Kernel kReduceMaxKernel = {BuiltinOp::kReduceMax, PrepareExtreme, Eval<true>};
const Kernel kReduceMinKernel = {BuiltinOp::kReduceMin, PrepareExtreme, EvalMin};
const Kernel kWideMeanKernel = {BuiltinOp::kMean, Prepare<true>, EvalWide, Takes::kInt16};
const Kernel kWideSumKernel = {BuiltinOp::kSum, Prepare<false>, EvalWide, Takes::kInt16};

}  // namespace tinymia
