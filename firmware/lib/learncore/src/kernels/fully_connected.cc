// FULLY_CONNECTED: the matrix product of a 1x1 convolution.
#include "kernels/gemm.h"
#include "kernels/gemm_rows.h"
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

struct FullyConnectedParams {
  Requantization requantization;
  Ref weights;
  int32_t input_zero_point;
  int32_t batches, depth, rows;
  bool more_follows;  // the weights are not the end of the file
#if defined(TINYMIA_PACKED_ROWS)
  Ref packed;
#endif
};

Status Prepare(PrepareContext* context) {
  Tensor input, filter, output;
  Status status = context->UseInput(0, 0, &input);
  if (status == Status::kOk) status = context->ReadInput(1, &filter);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  if (filter.type != TensorType::kInt8) return Status::kModelUnsupportedType;
  if (!filter.constant() || filter.rank != 2 || output.rank < 1) {
    return Status::kModelUnsupportedShape;
  }
  if (context->options_type() != OptionsType::kFullyConnected) return Status::kModelMalformed;
  const FbTable& options = context->options();
  if (options.Scalar<int8_t>(1, 0) != 0) return Status::kModelUnsupportedOp;  // shuffled weights
  FullyConnectedParams p;
  p.rows = filter.dims[0];
  p.depth = filter.dims[1];
  const uint32_t batches = output.elements / static_cast<uint32_t>(p.rows);
  const uint64_t needed = static_cast<uint64_t>(batches) * static_cast<uint32_t>(p.depth);
  if (output.dims[output.rank - 1] != p.rows || input.elements != needed) {
    return Status::kModelUnsupportedShape;
  }
  p.batches = static_cast<int32_t>(batches);
  p.weights = kInModel | filter.data_pos;
  p.input_zero_point = input.zero_point;
  const uint32_t depth = static_cast<uint32_t>(p.depth);
  status =
      PrepareRequantization(context, input, filter, output, 0, depth, options.Scalar<int8_t>(0, 0),
                            true, batches < kHalfBlock, &p.requantization);
  if (status != Status::kOk) return status;
  p.more_follows = context->model()->size() - filter.data_pos - filter.bytes >= 3;
#if defined(TINYMIA_PACKED_ROWS)
  p.packed = PackRows(context, filter, p.requantization, static_cast<uint32_t>(p.rows), depth);
#endif
  context->RequestScratch(ColumnBytes(depth, batches));
  context->SaveParams(p);
  return Status::kOk;
}

void Eval(const EvalContext& context, const Node& node) {
  const FullyConnectedParams& p = context.Params<FullyConnectedParams>(node);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  int16_t* columns = context.Scratch<int16_t>(node);
  const GemmLayer layer = {
    context.Const<int8_t>(p.weights),
    BiasReader(context, p.requantization.bias),
    ScaleReader(context, p.requantization),
    &p.requantization,
    p.rows,
    p.depth,
    p.more_follows,
#if defined(TINYMIA_PACKED_ROWS)
    p.packed == kNoRef ? nullptr : context.Const<uint8_t>(p.packed),
#endif
  };
  for (int32_t done = 0; done < p.batches;) {
    const ColumnBlock block = NextBlock(done, p.batches);
    PackColumns(input + block.start * p.depth, p.depth, p.depth, p.input_zero_point, block.lanes,
                columns);
    MultiplyColumns(layer, columns, block.lanes, output + block.start * p.rows, p.rows);
    done = block.start + block.lanes;
  }
}

}  // namespace

extern const Kernel kFullyConnectedKernel;
const Kernel kFullyConnectedKernel = {BuiltinOp::kFullyConnected, Prepare, Eval};

}  // namespace tinymia
