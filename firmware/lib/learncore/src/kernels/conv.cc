// CONV_2D: every patch of the input becomes a column, then one matrix product.
#include "kernels/gemm.h"
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

struct ConvParams {
  Requantization requantization;
  Ref weights;
  int32_t input_zero_point;
  int32_t batches, height, width, channels;  // of the input
  int32_t filter_height, filter_width, group_channels;
  int32_t output_height, output_width, output_channels;
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
  if (context->options_type() != OptionsType::kConv2d) return Status::kModelMalformed;
  const FbTable& options = context->options();
  ConvParams p;
  p.batches = input.dims[0];
  p.height = input.dims[1];
  p.width = input.dims[2];
  p.channels = input.dims[3];
  p.output_channels = filter.dims[0];
  p.filter_height = filter.dims[1];
  p.filter_width = filter.dims[2];
  p.group_channels = filter.dims[3];
  const int32_t padding = options.Scalar<int8_t>(0, 0);
  p.stride_width = options.Scalar<int32_t>(1, 0);
  p.stride_height = options.Scalar<int32_t>(2, 0);
  p.dilation_width = options.Scalar<int32_t>(4, 1);
  p.dilation_height = options.Scalar<int32_t>(5, 1);
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
  // One tap has no distance; any number may stand there.
  if (p.filter_height == 1) p.dilation_height = 1;
  if (p.filter_width == 1) p.dilation_width = 1;
  const bool groups_fit = p.channels % p.group_channels == 0 &&
                          p.output_channels % (p.channels / p.group_channels) == 0;
  if (!groups_fit || output.dims[0] != p.batches || output.dims[1] != p.output_height ||
      output.dims[2] != p.output_width || output.dims[3] != p.output_channels) {
    return Status::kModelUnsupportedShape;
  }
  p.weights = kInModel | filter.data_pos;
  p.input_zero_point = input.zero_point;
  const uint32_t depth = filter.elements / static_cast<uint32_t>(p.output_channels);
  status = PrepareRequantization(context, input, filter, output, 0, depth,
                                 options.Scalar<int8_t>(3, 0), false, &p.requantization);
  if (status != Status::kOk) return status;
  context->RequestScratch(ColumnBytes(depth) + depth);
  context->SaveParams(p);
  return Status::kOk;
}

// Copies one patch to `row`, padded with the zero point. Points into the input instead where the
// patch lies there in one piece.
const int8_t* GatherPatch(const ConvParams& p, const int8_t* image, int32_t first_channel,
                          int32_t out_y, int32_t out_x, int8_t* row) {
  const int32_t origin_y = out_y * p.stride_height - p.pad_top;
  const int32_t origin_x = out_x * p.stride_width - p.pad_left;
  const bool inside = origin_y >= 0 && origin_x >= 0 &&
                      origin_y + (p.filter_height - 1) * p.dilation_height < p.height &&
                      origin_x + (p.filter_width - 1) * p.dilation_width < p.width;
  const bool whole_rows = p.filter_width == p.width || p.filter_height == 1;
  const bool dense = (p.dilation_height == 1 || p.filter_height == 1) &&
                     (p.dilation_width == 1 || p.filter_width == 1);
  const bool one_group = p.group_channels == p.channels;
  const bool one_point = p.filter_height == 1 && p.filter_width == 1;
  if (inside && (one_point || (whole_rows && dense && one_group))) {
    return image + (origin_y * p.width + origin_x) * p.channels + first_channel;
  }
  int8_t* to = row;
  const size_t bytes = static_cast<size_t>(p.group_channels);
  for (int32_t ky = 0; ky < p.filter_height; ++ky) {
    const int32_t y = origin_y + ky * p.dilation_height;
    for (int32_t kx = 0; kx < p.filter_width; ++kx) {
      const int32_t x = origin_x + kx * p.dilation_width;
      if (y >= 0 && y < p.height && x >= 0 && x < p.width) {
        memcpy(to, image + (y * p.width + x) * p.channels + first_channel, bytes);
      } else {
        memset(to, p.input_zero_point, bytes);
      }
      to += bytes;
    }
  }
  return row;
}

void Eval(const EvalContext& context, const Node& node) {
  const ConvParams& p = context.Params<ConvParams>(node);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  int16_t* columns = context.Scratch<int16_t>(node);
  const int32_t depth = p.filter_height * p.filter_width * p.group_channels;
  int8_t* row = context.Scratch<int8_t>(node) + ColumnBytes(static_cast<uint32_t>(depth));
  const int32_t positions = p.output_height * p.output_width;
  const int32_t groups = p.channels / p.group_channels;
  const int32_t image_bytes = p.height * p.width * p.channels;
  const BiasReader bias(context, p.requantization.bias);

  GemmLayer layer;
  layer.requantization = &p.requantization;
  layer.depth = depth;
  layer.rows = p.output_channels / groups;
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t group = 0; group < groups; ++group) {
      const int32_t first = group * layer.rows;
      layer.weights = context.Const<int8_t>(p.weights) + first * depth;
      layer.bias = bias.From(first);
      layer.multipliers = context.Const<FixedMultiplier>(p.requantization.channels) + first;
      for (int32_t done = 0; done < positions;) {
        const ColumnBlock block = NextBlock(done, positions);
        int32_t y = block.start / p.output_width;
        int32_t x = block.start % p.output_width;
        for (int32_t lane = 0; lane < block.lanes; ++lane) {
          const int8_t* patch = GatherPatch(p, input, group * p.group_channels, y, x, row);
          PackColumn(patch, depth, p.input_zero_point, lane, block.lanes, columns);
          if (++x == p.output_width) {
            x = 0;
            ++y;
          }
        }
        MultiplyColumns(layer, columns, block.lanes,
                        output + block.start * p.output_channels + first, p.output_channels);
        done = block.start + block.lanes;
      }
    }
    input += image_bytes;
    output += positions * p.output_channels;
  }
}

}  // namespace

extern const Kernel kConvKernel;
const Kernel kConvKernel = {BuiltinOp::kConv2d, Prepare, Eval};

}  // namespace tinymia
