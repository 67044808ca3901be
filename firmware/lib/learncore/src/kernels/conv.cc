// CONV_2D: every patch of the input becomes a column, then one matrix product.
#include "kernels/dsp.h"
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
  bool more_follows;  // the weights are not the end of the file

  int32_t depth() const { return filter_height * filter_width * group_channels; }
  bool point() const { return filter_height == 1 && filter_width == 1; }
  // Whether each tap is whole groups of four, which can be packed without being gathered first.
  bool in_fours() const { return (group_channels & 3) == 0 || point(); }
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
                                 options.Scalar<int8_t>(3, 0), false, false,
                                 &p.requantization);
  if (status != Status::kOk) return status;
  p.more_follows = context->model()->size() - filter.data_pos - filter.bytes >= 3;
  const uint32_t positions = static_cast<uint32_t>(p.output_height * p.output_width);
  context->RequestScratch(ColumnBytes(depth, positions) + (p.in_fours() ? 0 : depth));
  context->SaveParams(p);
  return Status::kOk;
}

// The taps of one row of the filter that lie left of the image, in it, and right of it.
struct RowTaps {
  int32_t left, inside, right;
};
RowTaps SplitTaps(const ConvParams& p, int32_t origin_x) {
  RowTaps taps;
  taps.left = Min(Max<int32_t>(-origin_x, 0), p.filter_width);
  taps.right = Clamp(origin_x + p.filter_width - p.width, 0, p.filter_width - taps.left);
  taps.inside = p.filter_width - taps.left - taps.right;
  return taps;
}

void CopyBytes(int8_t* to, const int8_t* from, int32_t count) {
  for (; count >= 4; count -= 4, to += 4, from += 4) {
    const uint32_t word = LoadWord(from);
    memcpy(to, &word, sizeof(word));
  }
  for (; count > 0; --count) *to++ = *from++;
}

// Calls pad(bytes) and copy(from, bytes) for the pieces of one patch, in order.
template <typename Pad, typename Copy>
void ForEachPiece(const ConvParams& p, const int8_t* image, int32_t out_y, int32_t out_x, Pad pad,
                  Copy copy) {
  const int32_t origin_y = out_y * p.stride_height - p.pad_top;
  const int32_t origin_x = out_x * p.stride_width - p.pad_left;
  const int32_t bytes = p.group_channels;
  const bool dense = p.dilation_width == 1 && bytes == p.channels;
  const RowTaps taps = SplitTaps(p, origin_x);
  for (int32_t ky = 0; ky < p.filter_height; ++ky) {
    const int32_t y = origin_y + ky * p.dilation_height;
    if (y < 0 || y >= p.height) {
      pad(p.filter_width * bytes);
      continue;
    }
    const int8_t* row = image + y * p.width * p.channels;
    if (dense) {
      if (taps.left > 0) pad(taps.left * bytes);
      if (taps.inside > 0) copy(row + (origin_x + taps.left) * bytes, taps.inside * bytes);
      if (taps.right > 0) pad(taps.right * bytes);
      continue;
    }
    for (int32_t kx = 0; kx < p.filter_width; ++kx) {
      const int32_t x = origin_x + kx * p.dilation_width;
      if (x >= 0 && x < p.width) {
        copy(row + x * p.channels, bytes);
      } else {
        pad(bytes);
      }
    }
  }
}

// Where the patch lies in the image in one piece; null where it does not.
const int8_t* WholePatch(const ConvParams& p, const int8_t* image, int32_t out_y, int32_t out_x) {
  const int32_t origin_y = out_y * p.stride_height - p.pad_top;
  const int32_t origin_x = out_x * p.stride_width - p.pad_left;
  const int8_t* first = image + (origin_y * p.width + origin_x) * p.channels;
  if (p.point()) return first;  // without padding
  const bool dense = p.dilation_height == 1 && p.dilation_width == 1;
  const bool rows = p.filter_width == p.width || p.filter_height == 1;
  if (!dense || !rows || p.group_channels != p.channels) return nullptr;
  const bool inside = origin_y >= 0 && origin_x >= 0 && origin_y + p.filter_height <= p.height &&
                      origin_x + p.filter_width <= p.width;
  return inside ? first : nullptr;
}

// Packs the patch of one output, gathered in `row` first where it must be.
void PackPatch(const ConvParams& p, const int8_t* image, int32_t out_y, int32_t out_x, int8_t* row,
               ColumnPacker* column) {
  const int8_t* whole = WholePatch(p, image, out_y, out_x);
  if (whole != nullptr) {
    column->Pack(whole, p.depth());
    return;
  }
  if (p.in_fours()) {
    ForEachPiece(
        p, image, out_y, out_x, [column](int32_t bytes) { column->Zeros(bytes); },
        [column](const int8_t* from, int32_t bytes) { column->Pack(from, bytes); });
    return;
  }
  int8_t* to = row;
  ForEachPiece(
      p, image, out_y, out_x,
      [&to, &p](int32_t bytes) {
        memset(to, p.input_zero_point, static_cast<size_t>(bytes));
        to += bytes;
      },
      [&to](const int8_t* from, int32_t bytes) {
        CopyBytes(to, from, bytes);
        to += bytes;
      });
  column->Pack(row, p.depth());
}

void Eval(const EvalContext& context, const Node& node) {
  const ConvParams& p = context.Params<ConvParams>(node);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  int16_t* columns = context.Scratch<int16_t>(node);
  const int32_t depth = p.depth();
  const int32_t positions = p.output_height * p.output_width;
  int8_t* row = context.Scratch<int8_t>(node) +
                ColumnBytes(static_cast<uint32_t>(depth), static_cast<uint32_t>(positions));
  const int32_t groups = p.channels / p.group_channels;
  const int32_t image_bytes = p.height * p.width * p.channels;
  const BiasReader bias(context, p.requantization.bias);
  const ScaleReader scales(context, p.requantization);

  GemmLayer layer;
  layer.requantization = &p.requantization;
  layer.depth = depth;
  layer.rows = p.output_channels / groups;
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t group = 0; group < groups; ++group) {
      const int32_t first = group * layer.rows;
      layer.weights = context.Const<int8_t>(p.weights) + first * depth;
      layer.bias = bias.From(first);
      layer.scales = scales.From(first);
      layer.more_follows = p.more_follows || group + 1 < groups;
      for (int32_t done = 0; done < positions;) {
        const ColumnBlock block = NextBlock(done, positions);
        int32_t y = block.start / p.output_width;
        int32_t x = block.start % p.output_width;
        for (int32_t lane = 0; lane < block.lanes; ++lane) {
          ColumnPacker column(columns, lane, block.lanes, depth, p.input_zero_point);
          PackPatch(p, input + group * p.group_channels, y, x, row, &column);
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
