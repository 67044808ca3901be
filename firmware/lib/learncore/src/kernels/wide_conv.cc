// CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED on int16 activations.
#include "kernels/kernel.h"
#include "kernels/quantization.h"
#include "kernels/wide.h"

namespace tinymia {
namespace {

// A convolution in groups of channels. A dense layer is one of single points, each a batch.
struct WideConvParams {
  WideOutput output;
  Ref weights;
  int32_t batches = 1, height = 1, width = 1, channels = 1;  // of the input
  int32_t filter_height = 1, filter_width = 1, group_channels = 1;
  int32_t output_height = 1, output_width = 1, output_channels = 1;
  int32_t stride_height = 1, stride_width = 1, dilation_height = 1, dilation_width = 1;
  int32_t pad_top = 0, pad_left = 0;
  // Steps in the weights from one to the next.
  int32_t of_output, of_row, of_column;
};

TINYMIA_AT_LOAD Status ReadOperands(PrepareContext* context, uint32_t input_operand, int32_t rank,
                                    Tensor* input, Tensor* filter, Tensor* output) {
  Status status = context->UseInput(input_operand, 0, input);
  if (status == Status::kOk) status = context->ReadInput(1, filter);
  if (status != Status::kOk) return status;
  if (filter->type != TensorType::kInt8) return Status::kModelUnsupportedType;
  if (!filter->constant() || filter->rank != rank) return Status::kModelUnsupportedShape;
  status = context->UseOutput(output);
  if (status != Status::kOk) return status;
  const bool images = rank == 4;
  if (images && (input->rank != 4 || output->rank != 4)) return Status::kModelUnsupportedShape;
  return Status::kOk;
}

void ReadSizes(const Tensor& input, const Tensor& filter, WideConvParams* p) {
  p->batches = input.dims[0];
  p->height = input.dims[1];
  p->width = input.dims[2];
  p->channels = input.dims[3];
  p->filter_height = filter.dims[1];
  p->filter_width = filter.dims[2];
  p->weights = kInModel | filter.data_pos;
}

TINYMIA_AT_LOAD bool PlaceWindows(int32_t padding, const Tensor& output, WideConvParams* p) {
  Window rows, columns;
  if (!ComputeWindow(padding, p->height, p->filter_height, p->stride_height, p->dilation_height,
                     &rows) ||
      !ComputeWindow(padding, p->width, p->filter_width, p->stride_width, p->dilation_width,
                     &columns)) {
    return false;
  }
  p->output_height = rows.output;
  p->output_width = columns.output;
  p->output_channels = output.dims[3];
  p->pad_top = rows.pad_before;
  p->pad_left = columns.pad_before;
  // One tap has no distance; any number may stand there.
  if (p->filter_height == 1) p->dilation_height = 1;
  if (p->filter_width == 1) p->dilation_width = 1;
  return output.dims[0] == p->batches && output.dims[1] == p->output_height &&
         output.dims[2] == p->output_width;
}

TINYMIA_AT_LOAD Status PrepareConv(PrepareContext* context) {
  Tensor input, filter, output;
  Status status = ReadOperands(context, 0, 4, &input, &filter, &output);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kConv2d) return Status::kModelMalformed;
  const FbTable& options = context->options();
  WideConvParams p;
  ReadSizes(input, filter, &p);
  p.group_channels = filter.dims[3];
  p.stride_width = options.Scalar<int32_t>(1, 0);
  p.stride_height = options.Scalar<int32_t>(2, 0);
  p.dilation_width = options.Scalar<int32_t>(4, 1);
  p.dilation_height = options.Scalar<int32_t>(5, 1);
  if (!PlaceWindows(options.Scalar<int8_t>(0, 0), output, &p) ||
      p.output_channels != filter.dims[0] || p.channels % p.group_channels != 0 ||
      p.output_channels % (p.channels / p.group_channels) != 0) {
    return Status::kModelUnsupportedShape;
  }
  p.of_column = p.group_channels;
  p.of_row = p.filter_width * p.of_column;
  p.of_output = p.filter_height * p.of_row;
  const bool narrow = options.Scalar<int8_t>(6, 0) == static_cast<int8_t>(TensorType::kInt32);
  status = PrepareWideOutput(context, input, filter, output, 0, static_cast<uint32_t>(p.of_output),
                             options.Scalar<int8_t>(3, 0), false, 2, 4, narrow, &p.output);
  if (status == Status::kOk) context->SaveParams(p);
  return status;
}

TINYMIA_AT_LOAD Status PrepareDepthwise(PrepareContext* context) {
  Tensor input, filter, output;
  Status status = ReadOperands(context, 0, 4, &input, &filter, &output);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kDepthwiseConv2d) return Status::kModelMalformed;
  const FbTable& options = context->options();
  WideConvParams p;
  ReadSizes(input, filter, &p);
  p.stride_width = options.Scalar<int32_t>(1, 0);
  p.stride_height = options.Scalar<int32_t>(2, 0);
  const int32_t multiplier = options.Scalar<int32_t>(3, 0);
  p.dilation_width = options.Scalar<int32_t>(5, 1);
  p.dilation_height = options.Scalar<int32_t>(6, 1);
  if (!PlaceWindows(options.Scalar<int8_t>(0, 0), output, &p) || multiplier < 1 ||
      static_cast<int64_t>(p.channels) * multiplier != p.output_channels || filter.dims[0] != 1 ||
      filter.dims[3] != p.output_channels) {
    return Status::kModelUnsupportedShape;
  }
  p.of_output = 1;
  p.of_column = p.output_channels;
  p.of_row = p.filter_width * p.of_column;
  const uint32_t depth = static_cast<uint32_t>(p.filter_height * p.filter_width);
  status = PrepareWideOutput(context, input, filter, output, 3, depth, options.Scalar<int8_t>(4, 0),
                             false, 2, 0, false, &p.output);
  if (status == Status::kOk) context->SaveParams(p);
  return status;
}

TINYMIA_AT_LOAD Status PrepareDense(PrepareContext* context) {
  Tensor input, filter, output;
  Status status = ReadOperands(context, 0, 2, &input, &filter, &output);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kFullyConnected) return Status::kModelMalformed;
  const FbTable& options = context->options();
  if (options.Scalar<int8_t>(1, 0) != 0) return Status::kModelUnsupportedOp;  // shuffled weights
  WideConvParams p;
  p.output_channels = filter.dims[0];
  p.channels = p.group_channels = p.of_output = filter.dims[1];
  p.of_row = p.of_column = 0;
  p.weights = kInModel | filter.data_pos;
  const uint32_t batches = output.elements / static_cast<uint32_t>(p.output_channels);
  if (output.rank < 1 || output.dims[output.rank - 1] != p.output_channels ||
      input.elements != static_cast<uint64_t>(batches) * static_cast<uint32_t>(p.channels)) {
    return Status::kModelUnsupportedShape;
  }
  p.batches = static_cast<int32_t>(batches);
  const bool narrow = options.Scalar<int8_t>(4, 0) == static_cast<int8_t>(TensorType::kInt32);
  status = PrepareWideOutput(context, input, filter, output, 0, static_cast<uint32_t>(p.channels),
                             options.Scalar<int8_t>(0, 0), true, 2, 4, narrow, &p.output);
  if (status == Status::kOk) context->SaveParams(p);
  return status;
}

int64_t Dot(const int16_t* values, const int8_t* weights, int32_t count) {
  int64_t sum = 0;
  for (int32_t c = 0; c < count; ++c) sum += values[c] * weights[c];
  return sum;
}

// The sum of one output's products; its first tap is at (top, left) and may be outside.
int64_t SumTaps(const WideConvParams& p, const int16_t* image, const int8_t* weights, int32_t top,
                int32_t left) {
  int64_t sum = 0;
  for (int32_t ky = 0; ky < p.filter_height; ++ky) {
    const int32_t y = top + ky * p.dilation_height;
    if (y < 0 || y >= p.height) continue;
    for (int32_t kx = 0; kx < p.filter_width; ++kx) {
      const int32_t x = left + kx * p.dilation_width;
      if (x < 0 || x >= p.width) continue;
      sum += Dot(image + (y * p.width + x) * p.channels, weights + ky * p.of_row + kx * p.of_column,
                 p.group_channels);
    }
  }
  return sum;
}

void Eval(const EvalContext& context, const Node& node) {
  const WideConvParams& p = context.Params<WideConvParams>(node);
  const WideFinisher finish(context, p.output);
  const int16_t* image = context.Const<int16_t>(node.inputs[0]);
  const int8_t* weights = context.Const<int8_t>(p.weights);
  int16_t* output = context.Mutable<int16_t>(node.output);
  const int32_t in_group = p.output_channels / (p.channels / p.group_channels);
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t y = 0; y < p.output_height; ++y) {
      const int32_t top = y * p.stride_height - p.pad_top;
      for (int32_t x = 0; x < p.output_width; ++x) {
        const int32_t left = x * p.stride_width - p.pad_left;
        for (int32_t o = 0; o < p.output_channels; ++o) {
          const int16_t* group = image + o / in_group * p.group_channels;
          *output++ = finish(SumTaps(p, group, weights + o * p.of_output, top, left), o);
        }
      }
    }
    image += p.height * p.width * p.channels;
  }
}

TINYMIA_AT_LOAD Status PrepareTransposed(PrepareContext* context) {
  Tensor input, filter, output;
  Status status = ReadOperands(context, 2, 4, &input, &filter, &output);
  if (status != Status::kOk) return status;
  if (context->options_type() != OptionsType::kTransposeConv) return Status::kModelMalformed;
  const FbTable& options = context->options();
  WideConvParams p;
  ReadSizes(input, filter, &p);
  p.group_channels = p.channels;
  p.output_channels = filter.dims[0];
  p.output_height = output.dims[1];
  p.output_width = output.dims[2];
  p.stride_width = options.Scalar<int32_t>(1, 0);
  p.stride_height = options.Scalar<int32_t>(2, 0);
  const int32_t padding = options.Scalar<int8_t>(0, 0);
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
  p.of_column = p.channels;
  p.of_row = p.filter_width * p.of_column;
  p.of_output = p.filter_height * p.of_row;
  status = PrepareWideOutput(context, input, filter, output, 0, static_cast<uint32_t>(p.of_output),
                             options.Scalar<int8_t>(3, 0), false, 3, 2, false, &p.output);
  if (status == Status::kOk) context->SaveParams(p);
  return status;
}

// The inputs that reach an output.
int64_t Gather(const WideConvParams& p, const int16_t* image, const int8_t* weights, int32_t y,
               int32_t x) {
  int64_t sum = 0;
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
      sum += Dot(image + at * p.channels, weights + ky * p.of_row + kx * p.of_column, p.channels);
    }
  }
  return sum;
}

void EvalTransposed(const EvalContext& context, const Node& node) {
  const WideConvParams& p = context.Params<WideConvParams>(node);
  const WideFinisher finish(context, p.output);
  const int16_t* image = context.Const<int16_t>(node.inputs[0]);
  const int8_t* weights = context.Const<int8_t>(p.weights);
  int16_t* output = context.Mutable<int16_t>(node.output);
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t y = 0; y < p.output_height; ++y) {
      for (int32_t x = 0; x < p.output_width; ++x) {
        for (int32_t o = 0; o < p.output_channels; ++o) {
          *output++ = finish(Gather(p, image, weights + o * p.of_output, y, x), o);
        }
      }
    }
    image += p.height * p.width * p.channels;
  }
}

}  // namespace

extern const Kernel kWideConv2dKernel;
extern const Kernel kWideDepthwiseConv2dKernel;
extern const Kernel kWideFullyConnectedKernel;
extern const Kernel kWideTransposeConvKernel;
const Kernel kWideConv2dKernel = {BuiltinOp::kConv2d, PrepareConv, Eval, Takes::kInt16};
const Kernel kWideDepthwiseConv2dKernel = {BuiltinOp::kDepthwiseConv2d, PrepareDepthwise, Eval,
                                           Takes::kInt16};
const Kernel kWideFullyConnectedKernel = {BuiltinOp::kFullyConnected, PrepareDense, Eval,
                                          Takes::kInt16};
const Kernel kWideTransposeConvKernel = {BuiltinOp::kTransposeConv, PrepareTransposed,
                                         EvalTransposed, Takes::kInt16};

}  // namespace tinymia
