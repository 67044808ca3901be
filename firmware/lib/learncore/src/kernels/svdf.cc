// SVDF: a dense layer to `rank` filters a unit, whose results are weighted over time. Its state
// starts anew with every window, as the reference's does when it is reset: an answer depends on
// nothing that was asked before, so only the newest column of the state is other than zero.
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

struct SvdfParams {
  Ref features, times;  // weights
  Ref bias;
  FixedMultiplier of_state = {0, 0}, of_output = {0, 0};
  int32_t input_zero_point, state_zero_point, output_zero_point;
  int32_t batches, inputs, units, rank, memory;
  bool wide;  // the state and the weights of time have 16 bits
};

TINYMIA_AT_LOAD Status ReadWeights(PrepareContext* context, uint32_t operand, int32_t columns,
                                   Tensor* weights) {
  const Status status = context->ReadInput(operand, weights);
  if (status != Status::kOk) return status;
  // Sums of so many products fit in 32 bits.
  constexpr int32_t kMostColumns = 65536;
  if (!weights->constant() || weights->rank != 2 || weights->dims[1] > kMostColumns) {
    return Status::kModelUnsupportedShape;
  }
  if (weights->scales.count != 1 || weights->zero_point != 0) return Status::kModelUnsupportedType;
  return columns == 0 || weights->dims[1] == columns ? Status::kOk : Status::kModelUnsupportedShape;
}

TINYMIA_AT_LOAD Status PrepareScales(double in, double features, double state, double times,
                                     double out, double bias, SvdfParams* p) {
  const double off = bias - state * times;
  if (!(off < 1e-5 && off > -1e-5)) return Status::kModelBiasScale;
  const bool fits =
      ToFixed(in * features / state, &p->of_state) && ToFixed(state * times / out, &p->of_output);
  return fits ? Status::kOk : Status::kModelMalformed;
}

TINYMIA_AT_LOAD Status Prepare(PrepareContext* context) {
  Tensor input, features, times, bias, state, output;
  Status status = context->UseInput(0, 0, &input);
  if (status != Status::kOk) return status;
  if (input.rank != 2) return Status::kModelUnsupportedShape;
  status = ReadWeights(context, 1, input.dims[1], &features);
  if (status != Status::kOk) return status;
  if (features.type != TensorType::kInt8) return Status::kModelUnsupportedType;
  status = ReadWeights(context, 2, 0, &times);
  if (status != Status::kOk) return status;
  SvdfParams p;
  p.wide = times.type == TensorType::kInt16;
  if (!p.wide && times.type != TensorType::kInt8) return Status::kModelUnsupportedType;
  if (context->options_type() != OptionsType::kSvdf) return Status::kModelMalformed;
  p.rank = context->options().Scalar<int32_t>(0, 0);
  const int32_t filters = features.dims[0];
  if (p.rank < 1 || filters % p.rank != 0) return Status::kModelMalformed;
  p.units = filters / p.rank;
  p.batches = input.dims[0];
  p.inputs = input.dims[1];
  p.memory = times.dims[1];
  if (times.dims[0] != filters) return Status::kModelUnsupportedShape;
  status = context->ReadInt32(3, &bias);
  if (status != Status::kOk) return status;
  if (bias.elements != static_cast<uint32_t>(p.units)) return Status::kModelUnsupportedShape;
  status = context->ReadState(4, &state);
  if (status != Status::kOk) return status;
  if (state.type != times.type || !(state.scale > 0)) return Status::kModelUnsupportedType;
  if (state.rank != 2 || state.dims[0] != p.batches ||
      state.dims[1] != static_cast<int64_t>(p.memory) * filters) {
    return Status::kModelUnsupportedShape;
  }
  status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  if (output.rank != 2 || output.dims[0] != p.batches || output.dims[1] != p.units) {
    return Status::kModelUnsupportedShape;
  }
  p.features = kInModel | features.data_pos;
  p.times = kInModel | times.data_pos;
  p.bias = kInModel | bias.data_pos;
  p.input_zero_point = input.zero_point;
  p.state_zero_point = state.zero_point;
  p.output_zero_point = output.zero_point;
  const auto scale = [](const Tensor& tensor) { return static_cast<double>(tensor.scale); };
  status = PrepareScales(scale(input), scale(features), scale(state), scale(times), scale(output),
                         scale(bias), &p);
  if (status != Status::kOk) return status;
  context->SaveParams(p);
  return Status::kOk;
}

// What a filter adds to its unit: its newest state, weighted.
int32_t Filter(const EvalContext& context, const SvdfParams& p, const int8_t* input, int32_t f) {
  const int8_t* features = context.Const<int8_t>(p.features) + f * p.inputs;
  int32_t sum = 0;
  for (int32_t i = 0; i < p.inputs; ++i) sum += features[i] * (input[i] - p.input_zero_point);
  const int32_t scaled = MultiplyByFixed(sum, p.of_state);
  const int32_t newest = f * p.memory + p.memory - 1;
  if (p.wide) {
    // Wraps as the reference's state does, where its zero point is not 0.
    const auto state =
        static_cast<int16_t>(Clamp(scaled, INT16_MIN, INT16_MAX) + p.state_zero_point);
    int16_t weight;  // not every writer aligns it
    memcpy(&weight, context.Const<uint8_t>(p.times) + 2 * newest, sizeof weight);
    return static_cast<int32_t>(static_cast<int64_t>(weight) * (state - p.state_zero_point));
  }
  const auto state = static_cast<int8_t>(Clamp(scaled, INT8_MIN, INT8_MAX) + p.state_zero_point);
  return context.Const<int8_t>(p.times)[newest] * (state - p.state_zero_point);
}

void Eval(const EvalContext& context, const Node& node) {
  const SvdfParams& p = context.Params<SvdfParams>(node);
  const BiasReader bias(context, p.bias);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  for (int32_t b = 0; b < p.batches; ++b, input += p.inputs) {
    for (int32_t u = 0; u < p.units; ++u) {
      int32_t sum = bias[u];
      for (int32_t r = 0; r < p.rank; ++r) {
        sum = WrapAdd(sum, Filter(context, p, input, u * p.rank + r));
      }
      const int32_t value = WrapAdd(MultiplyByFixed(sum, p.of_output), p.output_zero_point);
      *output++ = static_cast<int8_t>(Clamp(value, INT8_MIN, INT8_MAX));
    }
  }
}

}  // namespace

extern const Kernel kSvdfKernel;
const Kernel kSvdfKernel = {BuiltinOp::kSvdf, Prepare, Eval};

}  // namespace tinymia
