// DEPTHWISE_CONV_2D.
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

struct DepthwiseParams {
  Requantization requantization;
  Ref weights;
  int32_t input_zero_point;
  int32_t batches, height, width, channels, multiplier;  // of the input
  int32_t filter_height, filter_width;
  int32_t output_height, output_width;
  int32_t stride_height, stride_width, dilation_height, dilation_width;
  int32_t pad_top, pad_left;
};

Status Prepare(PrepareContext* context) {
  Tensor input, filter, output;
  Status status = context->UseInput(0, 0, &input);
  if (status == Status::kOk) status = context->ReadInput(1, &filter);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  if (filter.type != TensorType::kInt8) return Status::kModelUnsupportedType;
  if (!filter.constant() || input.rank != 4 || filter.rank != 4 || output.rank != 4) {
    return Status::kModelUnsupportedShape;
  }
  if (context->options_type() != OptionsType::kDepthwiseConv2d) return Status::kModelMalformed;
  const FbTable& options = context->options();
  DepthwiseParams p;
  p.batches = input.dims[0];
  p.height = input.dims[1];
  p.width = input.dims[2];
  p.channels = input.dims[3];
  p.filter_height = filter.dims[1];
  p.filter_width = filter.dims[2];
  const int32_t padding = options.Scalar<int8_t>(0, 0);
  p.stride_width = options.Scalar<int32_t>(1, 0);
  p.stride_height = options.Scalar<int32_t>(2, 0);
  p.multiplier = options.Scalar<int32_t>(3, 0);
  p.dilation_width = options.Scalar<int32_t>(5, 1);
  p.dilation_height = options.Scalar<int32_t>(6, 1);
  Window rows, columns;
  if (!ComputeWindow(padding, p.height, p.filter_height, p.stride_height, p.dilation_height,
                     &rows) ||
      !ComputeWindow(padding, p.width, p.filter_width, p.stride_width, p.dilation_width,
                     &columns)) {
    return Status::kModelUnsupportedShape;
  }
  p.output_height = rows.output;
  p.output_width = columns.output;
  p.pad_top = rows.pad_before;
  p.pad_left = columns.pad_before;
  const bool channels_fit =
      static_cast<int64_t>(p.channels) * p.multiplier == output.dims[3] && p.multiplier > 0;
  if (!channels_fit || filter.dims[0] != 1 || filter.dims[3] != output.dims[3] ||
      output.dims[0] != p.batches || output.dims[1] != p.output_height ||
      output.dims[2] != p.output_width) {
    return Status::kModelUnsupportedShape;
  }
  p.weights = kInModel | filter.data_pos;
  p.input_zero_point = input.zero_point;
  const uint32_t depth = filter.elements / static_cast<uint32_t>(output.dims[3]);
  status = PrepareRequantization(context, input, filter, output, 3, depth,
                                 options.Scalar<int8_t>(4, 0), false, &p.requantization);
  if (status != Status::kOk) return status;
  context->SaveParams(p);
  return Status::kOk;
}

// The taps of one axis whose input lies inside the image: [first, end).
struct Taps {
  int32_t first;
  int32_t end;
};
Taps InsideTaps(int32_t origin, int32_t dilation, int32_t filter, int32_t size) {
  Taps taps;
  taps.first = origin < 0 ? (-origin + dilation - 1) / dilation : 0;
  taps.end = size <= origin ? 0 : Min(filter, (size - origin + dilation - 1) / dilation);
  return taps;
}

void EvalPoint(const EvalContext& context, const DepthwiseParams& p, const int8_t* image,
               int32_t origin_y, int32_t origin_x, int8_t* output) {
  const Taps ys = InsideTaps(origin_y, p.dilation_height, p.filter_height, p.height);
  const Taps xs = InsideTaps(origin_x, p.dilation_width, p.filter_width, p.width);
  const int8_t* weights = context.Const<int8_t>(p.weights);
  const FixedMultiplier* multipliers = context.Const<FixedMultiplier>(p.requantization.channels);
  const BiasReader bias(context, p.requantization.bias);
  const int32_t output_channels = p.channels * p.multiplier;
  for (int32_t c = 0; c < p.channels; ++c) {
    for (int32_t m = 0; m < p.multiplier; ++m) {
      const int32_t out = c * p.multiplier + m;
      int32_t sum = 0;
      for (int32_t ky = ys.first; ky < ys.end; ++ky) {
        for (int32_t kx = xs.first; kx < xs.end; ++kx) {
          const int32_t y = origin_y + ky * p.dilation_height;
          const int32_t x = origin_x + kx * p.dilation_width;
          const int32_t value = image[(y * p.width + x) * p.channels + c] - p.input_zero_point;
          sum += value * weights[(ky * p.filter_width + kx) * output_channels + out];
        }
      }
      output[out] = Requantize(WrapAdd(sum, bias[out]), multipliers[out], p.requantization);
    }
  }
}

void Eval(const EvalContext& context, const Node& node) {
  const DepthwiseParams& p = context.Params<DepthwiseParams>(node);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t y = 0; y < p.output_height; ++y) {
      for (int32_t x = 0; x < p.output_width; ++x) {
        EvalPoint(context, p, input, y * p.stride_height - p.pad_top,
                  x * p.stride_width - p.pad_left, output);
        output += p.channels * p.multiplier;
      }
    }
    input += p.height * p.width * p.channels;
  }
}

}  // namespace

extern const Kernel kDepthwiseConvKernel;
const Kernel kDepthwiseConvKernel = {BuiltinOp::kDepthwiseConv2d, Prepare, Eval};

}  // namespace tinymia
