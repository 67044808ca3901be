// GATHER with constant positions.
#include "kernels/kernel.h"

namespace tinymia {
namespace {

// The input seen as batches x outer x size x inner, the output with positions instead of size.
struct GatherParams {
  Ref positions;  // int32, not always aligned
  int32_t batches = 1, outer = 1, size = 1, inner = 1, count = 1;
};

TINYMIA_AT_LOAD Status Prepare(PrepareContext* context) {
  Tensor input, positions, output;
  Status status = context->UseInput(0, 0, &input);
  if (status == Status::kOk) status = context->ReadInt32(1, &positions);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kGather) return Status::kModelMalformed;
  int32_t axis = context->options().Scalar<int32_t>(0, 0);
  int32_t batch_dims = context->options().Scalar<int32_t>(1, 0);
  if (axis < 0) axis += input.rank;
  if (batch_dims < 0) batch_dims += positions.rank;
  if (axis < 0 || axis >= input.rank || batch_dims < 0 || batch_dims > axis ||
      batch_dims > positions.rank) {
    return Status::kModelMalformed;
  }
  GatherParams p;
  p.positions = kInModel | positions.data_pos;
  for (int32_t i = 0; i < input.rank; ++i) {
    if (i < batch_dims) {
      if (positions.dims[i] != input.dims[i]) return Status::kModelMalformed;
      p.batches *= input.dims[i];
    } else if (i < axis) {
      p.outer *= input.dims[i];
    } else if (i > axis) {
      p.inner *= input.dims[i];
    }
  }
  p.size = input.dims[axis];
  for (int32_t i = batch_dims; i < positions.rank; ++i) p.count *= positions.dims[i];
  const uint64_t elements = static_cast<uint64_t>(input.elements / static_cast<uint32_t>(p.size)) *
                            static_cast<uint32_t>(p.count);
  if (elements != output.elements) return Status::kModelUnsupportedShape;
  for (uint32_t i = 0; i < positions.elements; ++i) {
    const int32_t position = context->model()->Int32At(positions, i);
    if (position < 0 || position >= p.size) return Status::kModelMalformed;
  }
  context->SaveParams(p);
  return Status::kOk;
}

void Eval(const EvalContext& context, const Node& node) {
  const GatherParams& p = context.Params<GatherParams>(node);
  const int8_t* input = context.Input(node, 0);
  const uint8_t* positions = context.Const<uint8_t>(p.positions);
  int8_t* output = context.Output(node);
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t outer = 0; outer < p.outer; ++outer) {
      for (int32_t i = 0; i < p.count; ++i) {
        int32_t position;
        memcpy(&position, positions + 4 * (batch * p.count + i), sizeof position);
        memcpy(output, input + position * p.inner, static_cast<size_t>(p.inner));
        output += p.inner;
      }
      input += p.size * p.inner;
    }
  }
}

}  // namespace

extern const Kernel kGatherKernel;
const Kernel kGatherKernel = {BuiltinOp::kGather, Prepare, Eval};

}  // namespace tinymia
