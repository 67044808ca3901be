// AVERAGE_POOL_2D and MAX_POOL_2D, of int8 and int16.
#include "kernels/channels.h"
#include "kernels/kernel.h"
#include "kernels/quantization.h"

namespace tinymia {
namespace {

struct PoolParams {
  ActivationRange range;
  int32_t batches, height, width, channels;  // of the input
  int32_t filter_height, filter_width;
  int32_t output_height, output_width;
  int32_t stride_height, stride_width;
  int32_t pad_top, pad_left;
};

Status Prepare(PrepareContext* context) {
  Tensor input, output;
  Status status = context->UseInput(0, 0, &input);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  if (input.rank != 4 || output.rank != 4) return Status::kModelUnsupportedShape;
  if (context->options_type() != OptionsType::kPool2d) return Status::kModelMalformed;
  const float difference = input.scale - output.scale;
  if (input.zero_point != output.zero_point ||
      !(static_cast<double>(difference < 0 ? -difference : difference) <= 1.0e-6)) {
    return Status::kModelUnsupportedType;
  }
  const FbTable& options = context->options();
  PoolParams p;
  p.batches = input.dims[0];
  p.height = input.dims[1];
  p.width = input.dims[2];
  p.channels = input.dims[3];
  const int32_t padding = options.Scalar<int8_t>(0, 0);
  p.stride_width = options.Scalar<int32_t>(1, 0);
  p.stride_height = options.Scalar<int32_t>(2, 0);
  p.filter_width = options.Scalar<int32_t>(3, 0);
  p.filter_height = options.Scalar<int32_t>(4, 0);
  status = FusedRange(options.Scalar<int8_t>(5, 0), output, &p.range);
  if (status != Status::kOk) return status;
  Window rows, columns;
  if (!ComputeWindow(padding, p.height, p.filter_height, p.stride_height, 1, &rows) ||
      !ComputeWindow(padding, p.width, p.filter_width, p.stride_width, 1, &columns)) {
    return Status::kModelUnsupportedShape;
  }
  p.output_height = rows.output;
  p.output_width = columns.output;
  p.pad_top = rows.pad_before;
  p.pad_left = columns.pad_before;
  if (output.dims[0] != p.batches || output.dims[1] != p.output_height ||
      output.dims[2] != p.output_width || output.dims[3] != p.channels) {
    return Status::kModelUnsupportedShape;
  }
  context->SaveParams(p);
  return Status::kOk;
}

void AveragePatch(const PoolParams& p, const Patch& patch, int8_t* output) {
  const int32_t count = patch.rows * patch.columns;
  const ActivationRange range = p.range;
  ForEachSum(patch, p.channels, [&](int32_t channel, int32_t sum) {
    // Rounds to nearest, ties away from zero.
    const int32_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
    output[channel] = static_cast<int8_t>(Clamp(mean, range.min, range.max));
  });
}

void MaxPatch(const PoolParams& p, const Patch& patch, int8_t* output) {
  const ActivationRange range = p.range;
  ForEachMax(patch, p.channels, [&](int32_t channel, int32_t best) {
    output[channel] = static_cast<int8_t>(Clamp(best, range.min, range.max));
  });
}

template <void (*kPool)(const PoolParams&, const Patch&, int8_t*)>
void Eval(const EvalContext& context, const Node& node) {
  const PoolParams& p = context.Params<PoolParams>(node);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t out_y = 0; out_y < p.output_height; ++out_y) {
      const int32_t origin_y = out_y * p.stride_height - p.pad_top;
      const int32_t y = Max<int32_t>(origin_y, 0);
      for (int32_t out_x = 0; out_x < p.output_width; ++out_x) {
        const int32_t origin_x = out_x * p.stride_width - p.pad_left;
        const int32_t x = Max<int32_t>(origin_x, 0);
        // The part of the window that lies inside the image; never empty.
        const Patch patch = {
            input + (y * p.width + x) * p.channels,
            Min(origin_y + p.filter_height, p.height) - y,
            Min(origin_x + p.filter_width, p.width) - x,
            p.width * p.channels,
            p.channels,
        };
        kPool(p, patch, output);
        output += p.channels;
      }
    }
    input += p.height * p.width * p.channels;
  }
}

// One output of int16; the first value inside the image is `values`.
template <bool kMax>
int32_t PoolWide(const PoolParams& p, const int16_t* values, int32_t rows, int32_t columns) {
  int32_t sum = 0;  // of values in a window that fits in memory
  int32_t best = INT16_MIN;
  for (int32_t y = 0; y < rows; ++y) {
    for (int32_t x = 0; x < columns; ++x) {
      const int32_t value = values[(y * p.width + x) * p.channels];
      sum = WrapAdd(sum, value);
      best = Max(best, value);
    }
  }
  const int32_t count = rows * columns;
  if (kMax) return best;
  return (sum > 0 ? WrapAdd(sum, count / 2) : WrapAdd(sum, -(count / 2))) / count;
}

template <bool kMax>
void EvalWide(const EvalContext& context, const Node& node) {
  const PoolParams& p = context.Params<PoolParams>(node);
  const int16_t* input = context.Const<int16_t>(node.inputs[0]);
  int16_t* output = context.Mutable<int16_t>(node.output);
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t out_y = 0; out_y < p.output_height; ++out_y) {
      const int32_t origin_y = out_y * p.stride_height - p.pad_top;
      const int32_t y = Max<int32_t>(origin_y, 0);
      const int32_t rows = Min(origin_y + p.filter_height, p.height) - y;
      for (int32_t out_x = 0; out_x < p.output_width; ++out_x) {
        const int32_t origin_x = out_x * p.stride_width - p.pad_left;
        const int32_t x = Max<int32_t>(origin_x, 0);
        const int32_t columns = Min(origin_x + p.filter_width, p.width) - x;
        const int16_t* first = input + (y * p.width + x) * p.channels;
        for (int32_t c = 0; c < p.channels; ++c) {
          const int32_t value = PoolWide<kMax>(p, first + c, rows, columns);
          *output++ = static_cast<int16_t>(Clamp(value, p.range.min, p.range.max));
        }
      }
    }
    input += p.height * p.width * p.channels;
  }
}

}  // namespace

extern const Kernel kAveragePool2dKernel;
extern const Kernel kMaxPool2dKernel;
const Kernel kAveragePool2dKernel = {BuiltinOp::kAveragePool2d, Prepare, Eval<AveragePatch>};
const Kernel kMaxPool2dKernel = {BuiltinOp::kMaxPool2d, Prepare, Eval<MaxPatch>};

extern const Kernel kWideAveragePool2dKernel;
extern const Kernel kWideMaxPool2dKernel;
const Kernel kWideAveragePool2dKernel = {BuiltinOp::kAveragePool2d, Prepare, EvalWide<false>,
                                         Takes::kInt16};
const Kernel kWideMaxPool2dKernel = {BuiltinOp::kMaxPool2d, Prepare, EvalWide<true>, Takes::kInt16};

}  // namespace tinymia
