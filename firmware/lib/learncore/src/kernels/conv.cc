// CONV_2D: every patch of the input becomes a column, then one matrix product.
#include "kernels/dsp.h"
#include "kernels/gemm.h"
#include "kernels/gemm_rows.h"
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
#if defined(TINYMIA_PACKED_ROWS)
  Ref packed;
#endif

  int32_t depth() const { return filter_height * filter_width * group_channels; }
  bool point() const { return filter_height == 1 && filter_width == 1; }
  // Whether patches must be gathered before they are packed.
  bool gathered() const {
    const bool dense = dilation_width == 1 && (group_channels == channels || filter_width == 1);
    return !point() && (!dense || (group_channels & 3) != 0);
  }
};

// Copies a few bytes: to call memcpy for them would take longer.
inline int8_t* CopyBytes(int8_t* to, const int8_t* from, int32_t count) {
  for (; count >= 4; count -= 4, to += 4, from += 4) StoreWord(to, LoadWord(from));
  if (count == 0) return to;
  *to++ = from[0];
  if (count > 1) *to++ = from[1];
  if (count > 2) *to++ = from[2];
  return to;
}

// Copies rows of taps one behind the other. All but the last are copied by whole words, which may
// read what follows in the image, and write what the next row overwrites.
__attribute__((noinline)) void GatherRows(const int8_t* first, int32_t rows, int32_t bytes,
                                          int32_t row_step, int8_t* to) {
  for (; rows > 1; --rows, first += row_step, to += bytes) {
    for (int32_t i = 0; i < bytes; i += 4) StoreWord(to + i, LoadWord(first + i));
  }
  CopyBytes(to, first, bytes);
}

// Packs patches of the input as columns.
class Packer {
 public:
  // Bytes of scratch in which a patch is gathered.
  static uint32_t RowBytes(const ConvParams& p) {
    return p.gathered() ? PackedDepth(static_cast<uint32_t>(p.depth())) + 4 : 0;
  }

  Packer(const ConvParams& p, const int8_t* image, int16_t* columns, int8_t* row)
      : p_(p), image_(image), columns_(columns), row_(row) {
    patches_.rows = p.filter_height;
    patches_.bytes = p.filter_width * p.group_channels;
    // Where it does not fit, no two rows of taps are inside the image.
    patches_.row_step = static_cast<int32_t>(static_cast<uint32_t>(p.dilation_height) *
                                             static_cast<uint32_t>(p.width * p.channels));
    patches_.zero_point = p.input_zero_point;
    gathered_ = p.gathered();
    points_ = p.point() && p.stride_width == 1 && p.stride_height == 1;
    const bool one_group = p.group_channels == p.channels;
    dense_ = p.dilation_width == 1 && (one_group || p.filter_width == 1);
    // Rows of the filter that follow one another in the image, too, are one.
    whole_ = p.point() ||
             (dense_ && one_group && (p.filter_height == 1 || patches_.row_step == patches_.bytes));
    inside_y_ = InsideRange(p.pad_top, p.stride_height, p.dilation_height, p.filter_height,
                            p.height, p.output_height);
    inside_x_ = InsideRange(p.pad_left, p.stride_width, p.dilation_width, p.filter_width, p.width,
                            p.output_width);
    if (gathered_) memset(row + p.depth(), p.input_zero_point, 4);
  }

  // Packs all columns of a block.
  __attribute__((noinline)) void Pack(const ColumnBlock& block) {
    if (points_) {
      PackColumns(image_ + block.start * p_.channels, p_.channels, p_.group_channels,
                  p_.input_zero_point, block.lanes, columns_);
      return;
    }
    int32_t y = block.start / p_.output_width;
    int32_t x = block.start % p_.output_width;
    if (whole_ && PackWhole(block, y, x)) return;
    for (int32_t lane = 0; lane < block.lanes; ++lane) {
      if (gathered_ && block.lanes == kBlock) {
        const int32_t done = PackRun(y, x, lane);
        lane += done;
        x += done;
        if (lane == kBlock) return;
        if (x == p_.output_width) {
          x = 0;
          ++y;
        }
      }
      PackOne(y, x, lane, block.lanes);
      if (++x == p_.output_width) {
        x = 0;
        ++y;
      }
    }
  }

 private:
  // The outputs [first, first + count) of one axis whose taps are all in the image.
  struct Range {
    int32_t first;
    uint32_t count;
    bool Has(int32_t i) const { return static_cast<uint32_t>(i - first) < count; }
  };
  static Range InsideRange(int32_t pad, int32_t stride, int32_t dilation, int32_t filter,
                           int32_t size, int32_t outputs) {
    const int32_t first = pad == 0 ? 0 : Min((pad - 1) / stride + 1, outputs);
    const int32_t room = size + pad - (filter - 1) * dilation;
    const int32_t end = room < 1 ? 0 : Min((room - 1) / stride + 1, outputs);
    return {first, static_cast<uint32_t>(Max<int32_t>(end - first, 0))};
  }

  // Of a point in the image.
  const int8_t* At(int32_t y, int32_t x) const { return image_ + (y * p_.width + x) * p_.channels; }
  // Of the first tap of an output all of whose taps are inside.
  const int8_t* Origin(int32_t y, int32_t x) const {
    return At(y * p_.stride_height - p_.pad_top, x * p_.stride_width - p_.pad_left);
  }

  // Patches that are in the image, in one piece each, and equally far from one another.
  bool PackWhole(const ColumnBlock& block, int32_t y, int32_t x) {
    const int32_t last = block.lanes - 1;
    const bool column = p_.output_width == 1 && p_.width == p_.filter_width;
    if (!column && x + last >= p_.output_width) return false;
    const int32_t last_y = column ? y + last : y;
    const int32_t last_x = column ? x : x + last;
    if (!inside_y_.Has(y) || !inside_y_.Has(last_y)) return false;
    if (!inside_x_.Has(x) || !inside_x_.Has(last_x)) return false;
    int32_t step = 0;
    if (last > 0) step = (column ? p_.stride_height * p_.width : p_.stride_width) * p_.channels;
    PackColumns(Origin(y, x), step, p_.depth(), p_.input_zero_point, block.lanes, columns_);
    return true;
  }

  // Patches side by side, from `lane` of a block on, that are in the image and must be gathered, if
  // there is a quick way for them; returns how many.
  int32_t PackRun(int32_t y, int32_t x, int32_t lane) {
    if (!dense_ || !inside_y_.Has(y) || !inside_x_.Has(x)) return 0;
    const int32_t end = inside_x_.first + static_cast<int32_t>(inside_x_.count);
    const int32_t lanes = Min(end - x, kBlock - lane);
    const int32_t step = lanes > 1 ? p_.stride_width * p_.channels : 0;
    const bool packed =
        PackGatheredLanes(patches_, Origin(y, x), step, lanes, row_, columns_ + 4 * lane);
    return packed ? lanes : 0;
  }

  void PackOne(int32_t y, int32_t x, int32_t lane, int32_t lanes) {
    if (!dense_ || !inside_y_.Has(y) || !inside_x_.Has(x)) {
      PackEdge(y, x, lane, lanes);
    } else if (whole_) {
      PackColumn(Origin(y, x), p_.depth(), p_.input_zero_point, lane, lanes, columns_);
    } else if (!gathered_) {
      const Inside inside = {0, patches_.rows, 0, patches_.bytes};
      PackPatch(patches_, Origin(y, x), inside, lane, lanes, columns_);
    } else {
      GatherRows(Origin(y, x), patches_.rows, patches_.bytes, patches_.row_step, row_);
      PackRow(lane, lanes);
    }
  }

  void PackRow(int32_t lane, int32_t lanes) {
    PackGathered(row_, p_.depth(), p_.input_zero_point, lane, lanes, columns_);
  }

  __attribute__((noinline)) void PackEdge(int32_t out_y, int32_t out_x, int32_t lane,
                                          int32_t lanes) {
    const int32_t y = out_y * p_.stride_height - p_.pad_top;
    const int32_t x = out_x * p_.stride_width - p_.pad_left;
    if (!dense_) {
      GatherTaps(y, x);
      PackRow(lane, lanes);
      return;
    }
    Inside inside = {0, patches_.rows, 0, patches_.bytes};
    const int32_t left = Clamp(-x, 0, p_.filter_width);
    inside.left = left * p_.group_channels;
    inside.right = Clamp(p_.width - x, left, p_.filter_width) * p_.group_channels;
    const int32_t dilation = p_.dilation_height;
    while (inside.top < inside.bottom && y + inside.top * dilation < 0) ++inside.top;
    while (inside.bottom > inside.top && y + (inside.bottom - 1) * dilation >= p_.height) {
      --inside.bottom;
    }
    const bool any = inside.top < inside.bottom && inside.left < inside.right;
    const int8_t* first = any ? At(y + inside.top * dilation, x + left) : image_;
    if (!any) inside.bottom = inside.top;
    if (!gathered_) {
      PackPatch(patches_, first, inside, lane, lanes, columns_);
      return;
    }
    GatherPadded(first, inside);
    PackRow(lane, lanes);
  }

  // Copies a patch to `row_`, row of taps by row of taps, padded with the zero point.
  void GatherPadded(const int8_t* first, const Inside& inside) {
    const Patches& q = patches_;
    memset(row_, q.zero_point, static_cast<size_t>(q.rows) * static_cast<size_t>(q.bytes));
    int8_t* to = row_ + inside.top * q.bytes + inside.left;
    for (int32_t y = inside.top; y < inside.bottom; ++y, first += q.row_step, to += q.bytes) {
      CopyBytes(to, first, inside.right - inside.left);
    }
  }

  // The same tap by tap.
  void GatherTaps(int32_t origin_y, int32_t origin_x) {
    int8_t* to = row_;
    const size_t bytes = static_cast<size_t>(p_.group_channels);
    for (int32_t ky = 0; ky < p_.filter_height; ++ky) {
      const int32_t y = origin_y + ky * p_.dilation_height;
      for (int32_t kx = 0; kx < p_.filter_width; ++kx, to += bytes) {
        const int32_t x = origin_x + kx * p_.dilation_width;
        if (y >= 0 && y < p_.height && x >= 0 && x < p_.width) {
          memcpy(to, image_ + (y * p_.width + x) * p_.channels, bytes);
        } else {
          memset(to, p_.input_zero_point, bytes);
        }
      }
    }
  }

  const ConvParams& p_;
  const int8_t* image_;
  int16_t* columns_;
  int8_t* row_;
  Patches patches_;
  Range inside_y_, inside_x_;
  bool dense_;
  bool whole_;
  bool gathered_;
  bool points_;  // every output is a product of one input point, one after the other
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
                                 options.Scalar<int8_t>(3, 0), false, false, &p.requantization);
  if (status != Status::kOk) return status;
  p.more_follows = context->model()->size() - filter.data_pos - filter.bytes >= 3;
#if defined(TINYMIA_PACKED_ROWS)
  p.packed = p.group_channels != p.channels
                 ? kNoRef
                 : PackRows(context, filter, p.requantization,
                            static_cast<uint32_t>(p.output_channels), depth);
#endif
  const uint32_t positions = static_cast<uint32_t>(p.output_height * p.output_width);
  context->RequestScratch(ColumnBytes(depth, positions) + Packer::RowBytes(p));
  context->SaveParams(p);
  return Status::kOk;
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
#if defined(TINYMIA_PACKED_ROWS)
  if (p.packed != kNoRef) layer.packed = context.Const<uint8_t>(p.packed);
#endif
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t group = 0; group < groups; ++group) {
      const int32_t first = group * layer.rows;
      layer.weights = context.Const<int8_t>(p.weights) + first * depth;
      layer.bias = bias.From(first);
      layer.scales = scales.From(first);
      layer.more_follows = p.more_follows || group + 1 < groups;
      Packer packer(p, input + group * p.group_channels, columns, row);
      for (int32_t done = 0; done < positions;) {
        const ColumnBlock block = NextBlock(done, positions);
        packer.Pack(block);
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

extern const Kernel kConv2dKernel;
const Kernel kConv2dKernel = {BuiltinOp::kConv2d, Prepare, Eval};

}  // namespace tinymia
