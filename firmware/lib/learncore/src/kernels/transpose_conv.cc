// TRANSPOSE_CONV. Each output gathers the inputs that reach it, so no sums have to be kept.
#include "kernels/kernel.h"
#include "kernels/quantization.h"
#include "kernels/requantize.h"

namespace tinymia {
namespace {

struct TransposeConvParams {
  Requantization requantization;
  Ref weights;
  int32_t input_zero_point;
  int32_t batches, height, width, channels;  // of the input
  int32_t filter_height, filter_width;
  int32_t output_height, output_width, output_channels;
  int32_t stride_height, stride_width;
  int32_t pad_top, pad_left;
};

TINYMIA_AT_LOAD Status Prepare(PrepareContext* context) {
  Tensor filter, input, output;
  Status status = context->ReadInput(1, &filter);
  if (status == Status::kOk) status = context->UseInput(2, 0, &input);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  if (filter.type != TensorType::kInt8) return Status::kModelUnsupportedType;
  if (!filter.constant() || input.rank != 4 || filter.rank != 4 || output.rank != 4) {
    return Status::kModelUnsupportedShape;
  }
  if (context->options_type() != OptionsType::kTransposeConv) return Status::kModelMalformed;
  const FbTable& options = context->options();
  TransposeConvParams p;
  p.batches = input.dims[0];
  p.height = input.dims[1];
  p.width = input.dims[2];
  p.channels = input.dims[3];
  p.output_channels = filter.dims[0];
  p.filter_height = filter.dims[1];
  p.filter_width = filter.dims[2];
  p.output_height = output.dims[1];
  p.output_width = output.dims[2];
  const int32_t padding = options.Scalar<int8_t>(0, 0);
  p.stride_width = options.Scalar<int32_t>(1, 0);
  p.stride_height = options.Scalar<int32_t>(2, 0);
  // The padding is that of the convolution which takes the output to the input.
  Window rows, columns;
  if (!ComputeWindow(padding, p.output_height, p.filter_height, p.stride_height, 1, &rows) ||
      !ComputeWindow(padding, p.output_width, p.filter_width, p.stride_width, 1, &columns) ||
      rows.output != p.height || columns.output != p.width || output.dims[0] != p.batches ||
      output.dims[3] != p.output_channels || filter.dims[3] != p.channels) {
    return Status::kModelUnsupportedShape;
  }
  p.pad_top = rows.pad_before;
  p.pad_left = columns.pad_before;
  p.weights = kInModel | filter.data_pos;
  p.input_zero_point = input.zero_point;
  const uint32_t depth = filter.elements / static_cast<uint32_t>(p.output_channels);
  status = PrepareRequantization(context, input, filter, output, 0, depth,
                                 options.Scalar<int8_t>(3, 0), false, false, &p.requantization, 3);
  if (status != Status::kOk) return status;
  context->SaveParams(p);
  return Status::kOk;
}

int32_t Gather(const TransposeConvParams& p, const int8_t* image, const int8_t* filter, int32_t y,
               int32_t x) {
  int32_t sum = 0;
  for (int32_t ky = 0; ky < p.filter_height; ++ky) {
    const int32_t from_y = y + p.pad_top - ky;
    if (from_y < 0 || from_y % p.stride_height != 0 || from_y / p.stride_height >= p.height) {
      continue;
    }
    for (int32_t kx = 0; kx < p.filter_width; ++kx) {
      const int32_t from_x = x + p.pad_left - kx;
      if (from_x < 0 || from_x % p.stride_width != 0 || from_x / p.stride_width >= p.width) {
        continue;
      }
      const int32_t at = from_y / p.stride_height * p.width + from_x / p.stride_width;
      const int8_t* values = image + at * p.channels;
      const int8_t* weights = filter + (ky * p.filter_width + kx) * p.channels;
      for (int32_t c = 0; c < p.channels; ++c) {
        sum += (values[c] - p.input_zero_point) * weights[c];
      }
    }
  }
  return sum;
}

void Eval(const EvalContext& context, const Node& node) {
  const TransposeConvParams& p = context.Params<TransposeConvParams>(node);
  const int8_t* image = context.Input(node, 0);
  const int8_t* weights = context.Const<int8_t>(p.weights);
  const ScaleReader scales(context, p.requantization);
  const BiasReader bias(context, p.requantization.bias);
  int8_t* output = context.Output(node);
  const int32_t filter_bytes = p.filter_height * p.filter_width * p.channels;
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t y = 0; y < p.output_height; ++y) {
      for (int32_t x = 0; x < p.output_width; ++x) {
        for (int32_t c = 0; c < p.output_channels; ++c) {
          const int32_t sum = Gather(p, image, weights + c * filter_bytes, y, x);
          *output++ = Requantize(WrapAdd(sum, bias[c]), scales[c], p.requantization);
        }
      }
    }
    image += p.height * p.width * p.channels;
  }
}

}  // namespace

extern const Kernel kTransposeConvKernel;
const Kernel kTransposeConvKernel = {BuiltinOp::kTransposeConv, Prepare, Eval};

}  // namespace tinymia
