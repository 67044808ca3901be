// DEPTHWISE_CONV_2D.
#include "kernels/channels.h"
#include "kernels/kernel.h"
#include "kernels/quantization.h"
#include "kernels/requantize.h"

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
  // One tap has no distance; any number may stand there.
  if (p.filter_height == 1) p.dilation_height = 1;
  if (p.filter_width == 1) p.dilation_width = 1;
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

// The taps of one output point: `outer` runs of `inner` taps, all inside the image.
struct TapGrid {
  const int8_t* input;
  const int8_t* weights;
  int32_t outer, inner;
  int32_t input_outer, input_inner;  // steps in bytes
  int32_t weights_outer, weights_inner;
};

TapGrid PointTaps(const DepthwiseParams& p, const int8_t* image, const int8_t* weights,
                  int32_t origin_y, int32_t origin_x) {
  const Taps ys = InsideTaps(origin_y, p.dilation_height, p.filter_height, p.height);
  const Taps xs = InsideTaps(origin_x, p.dilation_width, p.filter_width, p.width);
  TapGrid grid = {};
  // A point may have no taps at all when the filter is dilated.
  if (ys.first >= ys.end || xs.first >= xs.end) return grid;
  const int32_t output_channels = p.channels * p.multiplier;
  const int32_t y = origin_y + ys.first * p.dilation_height;
  const int32_t x = origin_x + xs.first * p.dilation_width;
  grid.input = image + (y * p.width + x) * p.channels;
  grid.weights = weights + (ys.first * p.filter_width + xs.first) * output_channels;
  grid.outer = ys.end - ys.first;
  grid.inner = xs.end - xs.first;
  // Steps between taps that are both inside are small; others may not even fit.
  if (grid.outer > 1) grid.input_outer = p.dilation_height * p.width * p.channels;
  if (grid.inner > 1) grid.input_inner = p.dilation_width * p.channels;
  grid.weights_outer = p.filter_width * output_channels;
  grid.weights_inner = output_channels;
  if (grid.inner == 1) {  // the longer loop is the faster one
    grid.inner = grid.outer;
    grid.outer = 1;
    grid.input_inner = grid.input_outer;
    grid.weights_inner = grid.weights_outer;
  }
  return grid;
}

struct Finisher {
  const Requantization& requantization;
  const FixedMultiplier* multipliers;
  BiasReader bias;

  int8_t operator()(int32_t channel, int32_t sum) const {
    const Requantization& q = requantization;
    if (!q.fast) return Requantize(WrapAdd(sum, bias[channel]), multipliers[channel], q);
    const FastMultiplier fast(multipliers[channel], q.output_zero_point);
    const int32_t value = SaturateToInt8(fast.Apply(sum + bias[channel]));
    if (q.full_range()) return static_cast<int8_t>(value);
    return static_cast<int8_t>(Clamp(value, q.range.min, q.range.max));
  }
};

int32_t SumTaps(const TapGrid& grid, int32_t zero_point, int32_t from, int32_t to) {
  if (grid.outer == 0) return 0;
  const int8_t* input_run = grid.input + from;
  const int8_t* weights_run = grid.weights + to;
  int32_t sum = 0;
  for (int32_t o = 0; o < grid.outer; ++o) {
    const int8_t* input = input_run;
    const int8_t* weights = weights_run;
    for (int32_t i = 0; i < grid.inner; ++i) {
      sum += (*input - zero_point) * *weights;
      input += grid.input_inner;
      weights += grid.weights_inner;
    }
    input_run += grid.input_outer;
    weights_run += grid.weights_outer;
  }
  return sum;
}

#if defined(TINYMIA_DSP)

// The two functions below are kept apart, so that each has all registers for its loop.
// Channels [channel, channel + 4) of a filter with one output for each input channel.
__attribute__((noinline)) FourValues SumFourTaps(const TapGrid& grid, uint32_t offset,
                                                 int32_t channel) {
  const int8_t* input_run = grid.input + channel;
  const int8_t* weights_run = grid.weights + channel;
  const int32_t input_step = grid.input_inner;
  const int32_t weights_step = grid.weights_inner;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (int32_t o = grid.outer; o > 0; --o) {
    const int8_t* input = input_run;
    const int8_t* weights = weights_run;
    const int8_t* end = weights + grid.inner * weights_step;
    do {
      const uint32_t x = LoadWord(input);
      const uint32_t w = LoadWord(weights);
      const uint32_t x_even = Sxtab16(offset, x);
      const uint32_t x_odd = Sxtab16Odd(offset, x);
      const uint32_t w_even = Sxtb16(w);
      const uint32_t w_odd = Sxtb16Odd(w);
      s0 = Smlabb(x_even, w_even, s0);
      s1 = Smlabb(x_odd, w_odd, s1);
      s2 = Smlatt(x_even, w_even, s2);
      s3 = Smlatt(x_odd, w_odd, s3);
      input += input_step;
      weights += weights_step;
    } while (weights != end);
    input_run += grid.input_outer;
    weights_run += grid.weights_outer;
  }
  return {s0, s1, s2, s3};
}

// For a `fast` layer with all of int8 as its range. Nothing is stored before all is computed: a
// store of a byte may change anything, for all that the compiler knows.
__attribute__((noinline)) void FinishFour(const FourValues& sums, const FixedMultiplier* m,
                                          BiasReader bias, int32_t zero_point, int8_t* output) {
  const int32_t a = FastMultiplier(m[0], zero_point).Apply(sums.a + bias[0]);
  const int32_t b = FastMultiplier(m[1], zero_point).Apply(sums.b + bias[1]);
  const int32_t c = FastMultiplier(m[2], zero_point).Apply(sums.c + bias[2]);
  const int32_t d = FastMultiplier(m[3], zero_point).Apply(sums.d + bias[3]);
  const FourValues results = {SaturateToInt8(a), SaturateToInt8(b), SaturateToInt8(c),
                              SaturateToInt8(d)};
  results.ForEach(0,
                  [output](int32_t i, int32_t value) { output[i] = static_cast<int8_t>(value); });
}

// The channels that can be done four at a time; returns how many.
int32_t EvalFours(const DepthwiseParams& p, const TapGrid& grid, const Finisher& finish,
                  int8_t* output) {
  if (p.multiplier != 1 || grid.outer == 0) return 0;
  const uint32_t offset = (static_cast<uint32_t>(-p.input_zero_point) & 0xffff) * 0x10001u;
  const bool quick = p.requantization.fast && p.requantization.full_range();
  const int32_t zero_point = p.requantization.output_zero_point;
  const int32_t end = p.channels & ~3;
  for (int32_t c = 0; c < end; c += 4) {
    const FourValues sums = SumFourTaps(grid, offset, c);
    if (quick) {
      FinishFour(sums, finish.multipliers + c, finish.bias.From(c), zero_point, output + c);
    } else {
      sums.ForEach(c,
                   [&](int32_t channel, int32_t sum) { output[channel] = finish(channel, sum); });
    }
  }
  return end;
}

#else

int32_t EvalFours(const DepthwiseParams& /*p*/, const TapGrid& /*grid*/, const Finisher& /*finish*/,
                  int8_t* /*output*/) {
  return 0;
}

#endif

void EvalPoint(const DepthwiseParams& p, const TapGrid& grid, const Finisher& finish,
               int8_t* output) {
  for (int32_t c = EvalFours(p, grid, finish, output); c < p.channels; ++c) {
    for (int32_t m = 0; m < p.multiplier; ++m) {
      const int32_t to = c * p.multiplier + m;
      output[to] = finish(to, SumTaps(grid, p.input_zero_point, c, to));
    }
  }
}

void Eval(const EvalContext& context, const Node& node) {
  const DepthwiseParams& p = context.Params<DepthwiseParams>(node);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  const int8_t* weights = context.Const<int8_t>(p.weights);
  const Finisher finish = {
      p.requantization,
      context.Const<FixedMultiplier>(p.requantization.channels),
      BiasReader(context, p.requantization.bias),
  };
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    for (int32_t y = 0; y < p.output_height; ++y) {
      for (int32_t x = 0; x < p.output_width; ++x) {
        const TapGrid grid = PointTaps(p, input, weights, y * p.stride_height - p.pad_top,
                                       x * p.stride_width - p.pad_left);
        EvalPoint(p, grid, finish, output);
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
