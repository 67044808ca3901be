// UNIDIRECTIONAL_SEQUENCE_LSTM, int8 with a cell of 16 bits. Its state starts anew with every
// window, as the reference's does when it is reset: an answer depends on nothing that was asked
// before.
#include "kernels/kernel.h"
#include "kernels/quantization.h"
#include "kernels/sigmoid.h"

namespace tinymia {
namespace {

// Operands, numbered as in the file.
constexpr uint32_t kGates = 4;  // input, forget, cell, output
constexpr uint32_t kInputWeights = 1;
constexpr uint32_t kRecurrentWeights = 5;
constexpr uint32_t kBiases = 12;
constexpr uint32_t kHiddenState = 18;
constexpr uint32_t kCellState = 19;
constexpr uint32_t kOperands = 24;
constexpr uint32_t kAbsent[] = {9, 10, 11, 16, 17, 20, 21, 22, 23};
enum Gate { kInputGate, kForgetGate, kCellGate, kOutputGate };

struct LstmParams {
  Ref input_weights[kGates], recurrent_weights[kGates], biases[kGates];
  FixedMultiplier of_input[kGates], of_hidden[kGates];
  FixedMultiplier forget, update, hidden;
  int32_t input_zero_point, hidden_zero_point;
  int32_t batches, steps, inputs, units;
  int32_t input_batch, input_step, output_batch, output_step;  // strides
  int32_t cell_shift;                                          // of the cell before its tanh
  int32_t clip;                                                // 0: none
};

// log2 of a power of two; false for other numbers.
bool ExactLog2(float value, int32_t* result) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  *result = static_cast<int32_t>(bits >> 23) - 127;
  return (bits & 0x807fffffu) == 0 && *result > -127 && *result < 128;
}

TINYMIA_AT_LOAD Status ReadWeights(PrepareContext* context, uint32_t operand, int32_t rows,
                                   int32_t columns, float input_scale, Ref* ref,
                                   FixedMultiplier* multiplier) {
  constexpr float kGateScale = 1.0f / 4096;
  Tensor weights;
  const Status status = context->ReadInput(operand, &weights);
  if (status != Status::kOk) return status;
  if (weights.type != TensorType::kInt8 || weights.scales.count != 1 || weights.zero_point != 0) {
    return Status::kModelUnsupportedType;
  }
  if (!weights.constant() || weights.rank != 2 || weights.dims[0] != rows ||
      weights.dims[1] != columns || columns > 32768) {
    return Status::kModelUnsupportedShape;
  }
  *ref = kInModel | weights.data_pos;
  const double product = static_cast<double>(input_scale) * static_cast<double>(weights.scale);
  return ToFixed(product / static_cast<double>(kGateScale), multiplier) ? Status::kOk
                                                                        : Status::kModelMalformed;
}

TINYMIA_AT_LOAD Status ReadBias(PrepareContext* context, uint32_t operand, int32_t units,
                                Ref* ref) {
  Tensor bias;
  const Status status = context->ReadInt32(operand, &bias);
  if (status != Status::kOk) return status;
  if (bias.elements != static_cast<uint32_t>(units)) return Status::kModelUnsupportedShape;
  *ref = kInModel | bias.data_pos;
  return Status::kOk;
}

TINYMIA_AT_LOAD Status PrepareCell(PrepareContext* context, float hidden_scale, const Tensor& cell,
                                   LstmParams* p) {
  int32_t power = 0;
  if (cell.type != TensorType::kInt16 || cell.zero_point != 0 || !ExactLog2(cell.scale, &power)) {
    return Status::kModelUnsupportedType;
  }
  p->cell_shift = power + 12;
  if (p->cell_shift < -15 || p->cell_shift > 12) return Status::kModelUnsupportedType;
  constexpr double kOne = 1.0 / 32768;  // scale of what the gates give
  if (!ToFixed(kOne, &p->forget) ||
      !ToFixed(kOne * kOne / static_cast<double>(cell.scale), &p->update) ||
      !ToFixed(kOne * kOne / static_cast<double>(hidden_scale), &p->hidden)) {
    return Status::kModelMalformed;
  }
  const float clip = context->options().Scalar<float>(1, 0.0f);
  if (!IsFinite(clip)) return Status::kModelMalformed;
  const double steps = static_cast<double>(clip) / static_cast<double>(cell.scale);
  p->clip = clip > 0 ? static_cast<int32_t>(Min(steps, 32767.0)) : 0;
  // (The reference clips to 0 where it should clip to less than a step.)
  return clip > 0 && p->clip == 0 ? Status::kModelUnsupportedType : Status::kOk;
}

TINYMIA_AT_LOAD Status Prepare(PrepareContext* context) {
  constexpr int32_t kSchemaTanh = 4;
  Tensor input, output, hidden, cell;
  Status status = context->UseInput(0, 0, &input);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status == Status::kOk) status = context->ReadState(kHiddenState, &hidden);
  if (status == Status::kOk) status = context->ReadState(kCellState, &cell);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kUnidirectionalSequenceLstm ||
      context->input_count() != kOperands) {
    return Status::kModelMalformed;
  }
  if (context->options().Scalar<int8_t>(0, 0) != kSchemaTanh) return Status::kModelUnsupportedOp;
  for (const uint32_t operand : kAbsent) {  // peepholes, projection, normalisation
    if (context->HasInput(operand)) return Status::kModelUnsupportedOp;
  }
  if (hidden.type != TensorType::kInt8 || !(hidden.scale > 0)) return Status::kModelUnsupportedType;
  const bool time_first = context->options().Scalar<uint8_t>(3, 0) != 0;
  LstmParams p;
  p.inputs = input.dims[2];
  p.units = output.dims[2];
  p.batches = input.dims[time_first ? 1 : 0];
  p.steps = input.dims[time_first ? 0 : 1];
  p.input_step = time_first ? p.batches * p.inputs : p.inputs;
  p.input_batch = time_first ? p.inputs : p.steps * p.inputs;
  p.output_step = time_first ? p.batches * p.units : p.units;
  p.output_batch = time_first ? p.units : p.steps * p.units;
  const uint32_t states = static_cast<uint32_t>(p.batches * p.units);
  if (input.rank != 3 || output.rank != 3 || input.dims[0] != output.dims[0] ||
      input.dims[1] != output.dims[1] || hidden.elements != states || cell.elements != states) {
    return Status::kModelUnsupportedShape;
  }
  for (uint32_t g = 0; g < kGates; ++g) {
    status = ReadWeights(context, kInputWeights + g, p.units, p.inputs, input.scale,
                         &p.input_weights[g], &p.of_input[g]);
    if (status == Status::kOk) {
      status = ReadWeights(context, kRecurrentWeights + g, p.units, p.units, hidden.scale,
                           &p.recurrent_weights[g], &p.of_hidden[g]);
    }
    if (status == Status::kOk) status = ReadBias(context, kBiases + g, p.units, &p.biases[g]);
    if (status != Status::kOk) return status;
  }
  status = PrepareCell(context, hidden.scale, cell, &p);
  if (status != Status::kOk) return status;
  p.input_zero_point = input.zero_point;
  p.hidden_zero_point = hidden.zero_point;
  // The cell of one batch, and the hidden state before the first step.
  context->RequestScratch(3 * static_cast<uint32_t>(p.units));
  context->SaveParams(p);
  return Status::kOk;
}

int32_t Clamp16(int32_t value) { return Clamp(value, INT16_MIN, INT16_MAX); }

int32_t Dot(const int8_t* weights, const int8_t* values, int32_t zero_point, int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; ++i) sum += weights[i] * (values[i] - zero_point);
  return sum;
}

// What unit `u` of a gate is before its sigmoid or tanh.
int32_t GateSum(const EvalContext& context, const LstmParams& p, Gate g, int32_t u,
                const int8_t* input, const int8_t* hidden) {
  const int8_t* in = context.Const<int8_t>(p.input_weights[g]) + u * p.inputs;
  const int8_t* recurrent = context.Const<int8_t>(p.recurrent_weights[g]) + u * p.units;
  const int32_t bias = BiasReader(context, p.biases[g])[u];
  const int32_t from_input = WrapAdd(Dot(in, input, p.input_zero_point, p.inputs), bias);
  const int32_t from_hidden = Dot(recurrent, hidden, p.hidden_zero_point, p.units);
  return Clamp16(Clamp16(MultiplyByFixed(from_input, p.of_input[g])) +
                 Clamp16(MultiplyByFixed(from_hidden, p.of_hidden[g])));
}

int32_t TanhOfCell(const LstmParams& p, int32_t cell) {
  if (p.cell_shift >= 0) return Tanh(cell * (3 << p.cell_shift));
  return Tanh((cell * 3 + (1 << (-p.cell_shift - 1))) >> -p.cell_shift);
}

void Step(const EvalContext& context, const LstmParams& p, const int8_t* input,
          const int8_t* hidden, int16_t* cell, int8_t* output) {
  for (int32_t u = 0; u < p.units; ++u) {
    const auto sum = [&](Gate g) { return GateSum(context, p, g, u, input, hidden); };
    const int32_t kept =
        Clamp16(MultiplyByFixed(Sigmoid(3 * sum(kForgetGate)) * cell[u], p.forget));
    const int32_t news =
        Clamp16(MultiplyByFixed(Sigmoid(3 * sum(kInputGate)) * Tanh(3 * sum(kCellGate)), p.update));
    int32_t state = Clamp16(kept + news);
    if (p.clip > 0) state = Clamp(state, -p.clip, p.clip);
    cell[u] = static_cast<int16_t>(state);
    const int32_t product = TanhOfCell(p, state) * Sigmoid(3 * sum(kOutputGate));
    output[u] = static_cast<int8_t>(Clamp(
        WrapAdd(MultiplyByFixed(product, p.hidden), p.hidden_zero_point), INT8_MIN, INT8_MAX));
  }
}

void Eval(const EvalContext& context, const Node& node) {
  const LstmParams& p = context.Params<LstmParams>(node);
  int16_t* cell = context.Scratch<int16_t>(node);
  int8_t* before = context.Scratch<int8_t>(node) + 2 * p.units;
  for (int32_t b = 0; b < p.batches; ++b) {
    const int8_t* input = context.Input(node, 0) + b * p.input_batch;
    int8_t* output = context.Output(node) + b * p.output_batch;
    memset(cell, 0, 2 * static_cast<size_t>(p.units));
    memset(before, p.hidden_zero_point, static_cast<size_t>(p.units));
    const int8_t* hidden = before;  // then the output of the step before
    for (int32_t t = 0; t < p.steps; ++t) {
      Step(context, p, input, hidden, cell, output);
      hidden = output;
      input += p.input_step;
      output += p.output_step;
    }
  }
}

}  // namespace

extern const Kernel kUnidirectionalSequenceLstmKernel;
const Kernel kUnidirectionalSequenceLstmKernel = {BuiltinOp::kUnidirectionalSequenceLstm, Prepare,
                                                  Eval};

}  // namespace tinymia
