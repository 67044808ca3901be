// DEPTHWISE_CONV_2D: channel by channel on planes of int16 where the core has instructions for
// pairs of them, else point by point.
#include "kernels/channels.h"
#include "kernels/kernel.h"
#include "kernels/plane.h"
#include "kernels/quantization.h"
#include "kernels/requantize.h"

namespace tinymia {
namespace {

void Swap(int32_t* a, int32_t* b) {
  const int32_t kept = *a;
  *a = *b;
  *b = kept;
}

struct DepthwiseParams {
  Requantization requantization;
  Ref weights;
  int32_t input_zero_point;
  int32_t batches, height, width, channels, multiplier;  // of the input
  int32_t filter_height, filter_width;
  int32_t output_height, output_width;
  int32_t stride_height, stride_width, dilation_height, dilation_width;
  int32_t pad_top, pad_left;
  // How many outputs of a column are done on one set of planes, 0: none; rows and pitch of a plane,
  // in elements; planes of a set.
  int32_t band, plane_rows, plane_pitch, planes;
};

int32_t RowsOfBand(const DepthwiseParams& p, int32_t band) {
  return (band - 1) * p.stride_height + (p.filter_height - 1) * p.dilation_height + 1;
}

// The pairs of taps in one row of the filter.
int32_t TapPairs(const DepthwiseParams& p) { return (p.filter_width + 1) / 2; }

// Four planes at a time, as channels are read by the word. As many outputs of a column at a time as
// half the input's bytes give room for: the rows between two bands are copied twice.
uint32_t PlanPlanes(DepthwiseParams* p) {
  constexpr int64_t kRoom = 2048;
  p->band = p->plane_rows = 0;
  if (p->dilation_width != 1 || p->filter_width == 1) return 0;
  p->planes = p->channels < 4 ? 1 : 4;
  const int64_t reach =
      Max<int64_t>(static_cast<int64_t>(p->pad_left) + p->width,
                   static_cast<int64_t>(p->output_width - 1) * p->stride_width + p->filter_width);
  const int64_t pitch = (reach + 4) / 2 * 2;  // three elements may be read beyond
  const int64_t row = pitch * p->planes * static_cast<int64_t>(sizeof(int16_t));
  const int64_t bytes = static_cast<int64_t>(p->height) * p->width * p->channels;
  const int64_t rows = Max(kRoom, bytes / 2) / row;
  const int64_t above = static_cast<int64_t>(p->filter_height - 1) * p->dilation_height + 1;
  const int64_t band = rows < above ? 1 : (rows - above) / p->stride_height + 1;
  // Even one row of outputs needs more than the layer's input?
  if (above * row > Max(kRoom, bytes)) return 0;
  p->band = static_cast<int32_t>(Min<int64_t>(band, p->output_height));
  p->plane_rows = RowsOfBand(*p, p->band);
  p->plane_pitch = static_cast<int32_t>(pitch);
  return static_cast<uint32_t>(p->plane_rows * row) +
         static_cast<uint32_t>(p->filter_height * TapPairs(*p)) * 4;
}

// An image of one column is one of one row.
void LayDown(DepthwiseParams* p) {
  if (p->width != 1 || p->filter_width != 1 || p->output_width != 1) return;
  Swap(&p->height, &p->width);
  Swap(&p->filter_height, &p->filter_width);
  Swap(&p->output_height, &p->output_width);
  Swap(&p->stride_height, &p->stride_width);
  Swap(&p->dilation_height, &p->dilation_width);
  Swap(&p->pad_top, &p->pad_left);
}

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
                                 options.Scalar<int8_t>(4, 0), false, true, &p.requantization);
  if (status != Status::kOk) return status;
  LayDown(&p);
  context->RequestScratch(PlanPlanes(&p));
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
  ScaleReader scales;
  BiasReader bias;

  int8_t operator()(int32_t channel, int32_t sum) const {
    return Requantize(WrapAdd(sum, bias[channel]), scales[channel], requantization);
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

constexpr bool kPlanes = true;

// Channels [channel, channel + 4) of a filter with one output for each input channel. Kept apart,
// so that it has all registers for its loop.
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

// The channels that can be done four at a time; returns how many.
int32_t EvalFours(const DepthwiseParams& p, const TapGrid& grid, const Finisher& finish,
                  int8_t* output) {
  if (p.multiplier != 1 || grid.outer == 0) return 0;
  const uint32_t offset = (static_cast<uint32_t>(-p.input_zero_point) & 0xffff) * 0x10001u;
  const int32_t end = p.channels & ~3;
  for (int32_t c = 0; c < end; c += 4) {
    const FourValues sums = SumFourTaps(grid, offset, c);
    sums.ForEach(c, [&](int32_t channel, int32_t sum) { output[channel] = finish(channel, sum); });
  }
  return end;
}

// Copies channels [channel, channel + 4) of `count` rows, minus the zero point, into four planes.
void CopyFour(const DepthwiseParams& p, const int8_t* from, int32_t count, int16_t* to) {
  const uint32_t offset = (static_cast<uint32_t>(-p.input_zero_point) & 0xffff) * 0x10001u;
  const int32_t plane = p.plane_rows * p.plane_pitch;
  const int32_t step = p.channels;
  for (int32_t y = 0; y < count; ++y, to += p.plane_pitch) {
    int16_t* row = to;
    int32_t left = p.width;
    const auto one = [&] {
      const uint32_t word = LoadWord(from);
      from += step;
      const uint32_t even = Sxtab16(offset, word);
      const uint32_t odd = Sxtab16Odd(offset, word);
      row[0] = static_cast<int16_t>(even & 0xffff);
      row[plane] = static_cast<int16_t>(odd & 0xffff);
      row[2 * plane] = static_cast<int16_t>(even >> 16);
      row[3 * plane] = static_cast<int16_t>(odd >> 16);
      ++row;
      --left;
    };
    if ((p.pad_left & 1) != 0) one();  // then words are aligned
    const auto two = [&](int32_t at) {
      const uint32_t a = LoadWord(from);
      const uint32_t b = LoadWord(from + step);
      from += 2 * step;
      const uint32_t low = Pkhbt(a, b);
      const uint32_t high = Pkhtb(a, b);
      StoreWord(row + at, Sxtab16(offset, low));
      StoreWord(row + at + plane, Sxtab16Odd(offset, low));
      StoreWord(row + at + 2 * plane, Sxtab16(offset, high));
      StoreWord(row + at + 3 * plane, Sxtab16Odd(offset, high));
    };
    for (; left >= 4; left -= 4, row += 4) {
      two(0);
      two(2);
    }
    if (left >= 2) {
      two(0);
      left -= 2;
      row += 2;
    }
    if (left != 0) one();
  }
}

// The same for one channel.
void CopyOne(const DepthwiseParams& p, const int8_t* from, int32_t count, int16_t* to) {
  for (int32_t y = 0; y < count; ++y, to += p.plane_pitch) {
    for (int32_t x = 0; x < p.width; ++x, from += p.channels) {
      to[x] = static_cast<int16_t>(*from - p.input_zero_point);
    }
  }
}

// One set of planes: outputs [start, start + rows) of every column.
struct Band {
  int16_t* planes;
  uint32_t* pairs;  // room for one channel's filter
  const int8_t* weights;
  int8_t* output;
  int32_t start, rows;
};

uint32_t WeightPair(int32_t low, int32_t high) {
  return Pkhbt(static_cast<uint32_t>(low), static_cast<uint32_t>(high));
}

bool Three(const DepthwiseParams& p) {
  return p.filter_height == 3 && p.filter_width == 3 && p.stride_width <= 2 &&
         p.requantization.full_range();
}

// Any filter. One more element than the filter has columns is read where their number is odd.
void FilterAny(const DepthwiseParams& p, const Band& band, const Finisher& finish,
               const int16_t* plane, int32_t channel) {
  const int32_t outputs = p.channels * p.multiplier;
  const int32_t pairs = TapPairs(p);
  const int8_t* weights = band.weights + channel;
  for (int32_t i = 0, ky = 0; ky < p.filter_height; ++ky) {
    for (int32_t kx = 0; kx < p.filter_width; kx += 2, weights += 2 * outputs) {
      const bool odd = kx + 1 == p.filter_width;
      band.pairs[i++] = WeightPair(weights[0], odd ? 0 : weights[outputs]);
      if (odd) weights -= outputs;
    }
  }
  const int32_t bias = finish.bias[channel];
  const ChannelScale scale = finish.scales[channel];
  const int32_t pitch = p.dilation_height * p.plane_pitch - 2 * pairs;
  int8_t* output = band.output + channel;
  for (int32_t y = 0; y < band.rows; ++y) {
    const int16_t* row = plane + y * p.stride_height * p.plane_pitch;
    for (int32_t x = 0; x < p.output_width; ++x, row += p.stride_width, output += outputs) {
      const uint32_t* w = band.pairs;
      const int16_t* at = row;
      int32_t sum = bias;
      for (int32_t ky = p.filter_height; ky > 0; --ky, at += pitch) {
        for (int32_t k = pairs; k > 0; --k, at += 2) sum = Smlad(LoadWord(at), *w++, sum);
      }
      *output = Requantize(sum, scale, p.requantization);
    }
  }
}

// What a 3x3 filter over one set of planes has in common for all channels.
PlaneFilter PrepareThree(const DepthwiseParams& p, const Band& band) {
  constexpr int32_t kElement = sizeof(int16_t);
  PlaneFilter f;
  f.zero_point = p.requantization.output_zero_point;
  f.row_step = p.stride_height * p.plane_pitch * kElement;
  f.fours_bytes = (p.output_width & ~3) * p.stride_width * kElement;
  f.rest = p.output_width & 3;
  f.stride = p.channels * p.multiplier;
  f.pitch = p.dilation_height * p.plane_pitch * kElement;
  f.cuts_negative = p.requantization.cuts_negative() ? 1 : 0;
  f.row = band.planes;
  f.last_row = band.planes + band.rows * p.stride_height * p.plane_pitch;
  f.output = band.output;
  return f;
}

// One channel; `scale` is quick. `plane` counts from the first plane, in elements.
inline __attribute__((always_inline)) void FilterThree(const int8_t* weights, int32_t bias,
                                                       const ChannelScale& scale, int32_t plane,
                                                       int32_t channel, bool by_two,
                                                       const PlaneFilter& common, PlaneFilter* f) {
  f->doubled = scale.doubled;
  f->shift_factor = INT32_MIN >> scale.shift;
  f->bias = bias;
  const int32_t step = common.stride;
  const int8_t* w = weights + channel;
  for (int32_t ky = 0; ky < 3; ++ky, w += 3 * step) {
    const int32_t middle = w[step];
    f->weights[2 * ky] = WeightPair(w[0], middle);
    f->weights[2 * ky + 1] = WeightPair(middle, w[2 * step]);
  }
  f->row = common.row + plane;
  f->last_row = common.last_row + plane;
  f->output = common.output + channel;
  if (by_two) {
    FilterPlaneByTwo(*f);
  } else {
    FilterPlane(*f);
  }
}

void EvalBand(const DepthwiseParams& p, const int8_t* image, const Band& band,
              const Finisher& finish) {
  const int32_t plane = p.plane_rows * p.plane_pitch;
  memset(band.planes, 0, static_cast<size_t>(plane * p.planes) * sizeof(int16_t));
  const int32_t top = band.start * p.stride_height - p.pad_top;
  const int32_t first = Max<int32_t>(top, 0);
  const int32_t count = Min(top + RowsOfBand(p, band.rows), p.height) - first;
  const int8_t* from = image + first * p.width * p.channels;
  int16_t* to = band.planes + (first - top) * p.plane_pitch + p.pad_left;
  const bool three = Three(p);
  const bool by_two = p.stride_width == 2;
  const PlaneFilter common = PrepareThree(p, band);
  PlaneFilter filter = common;
  for (int32_t c = 0; c < p.channels;) {
    const int32_t together = c + 4 <= p.channels ? 4 : 1;
    if (together == 4) {
      CopyFour(p, from + c, count, to);
    } else {
      CopyOne(p, from + c, count, to);
    }
    for (int32_t i = 0; i < together; ++i, ++c) {
      for (int32_t m = 0; m < p.multiplier; ++m) {
        const int32_t channel = c * p.multiplier + m;
        const ChannelScale scale = finish.scales[channel];
        if (three && scale.quick()) {
          FilterThree(band.weights, finish.bias[channel], scale, i * plane, channel, by_two, common,
                      &filter);
        } else {
          FilterAny(p, band, finish, band.planes + i * plane, channel);
        }
      }
    }
  }
}

void EvalPlanes(const EvalContext& context, const Node& node, const DepthwiseParams& p,
                const int8_t* image, const Finisher& finish, int8_t* output) {
  Band band;
  band.planes = context.Scratch<int16_t>(node);
  band.pairs = static_cast<uint32_t*>(
      static_cast<void*>(band.planes + p.planes * p.plane_rows * p.plane_pitch));
  band.weights = context.Const<int8_t>(p.weights);
  for (int32_t y = 0; y < p.output_height; y += p.band) {
    band.start = y;
    band.rows = Min(p.band, p.output_height - y);
    band.output = output + y * p.output_width * p.channels * p.multiplier;
    EvalBand(p, image, band, finish);
  }
}

#else

constexpr bool kPlanes = false;

int32_t EvalFours(const DepthwiseParams& /*p*/, const TapGrid& /*grid*/, const Finisher& /*finish*/,
                  int8_t* /*output*/) {
  return 0;
}

void EvalPlanes(const EvalContext& /*context*/, const Node& /*node*/, const DepthwiseParams& /*p*/,
                const int8_t* /*image*/, const Finisher& /*finish*/, int8_t* /*output*/) {}

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
      ScaleReader(context, p.requantization),
      BiasReader(context, p.requantization.bias),
  };
  for (int32_t batch = 0; batch < p.batches; ++batch) {
    if (kPlanes && p.band > 0) {
      EvalPlanes(context, node, p, input, finish, output);
      input += p.height * p.width * p.channels;
      output += p.output_height * p.output_width * p.channels * p.multiplier;
      continue;
    }
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

extern const Kernel kDepthwiseConv2dKernel;
const Kernel kDepthwiseConv2dKernel = {BuiltinOp::kDepthwiseConv2d, Prepare, Eval};

}  // namespace tinymia
