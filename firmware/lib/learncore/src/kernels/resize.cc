// RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR.
#include "kernels/kernel.h"

namespace tinymia {
namespace {

struct ResizeParams {
  int32_t batches, channels;
  int32_t input[2];  // height, width
  int32_t output[2];
  int32_t scales[2];  // bilinear: input steps an output step, 10 fractional bits
  bool align_corners, half_pixel;
};

Status PrepareSizes(PrepareContext* context, OptionsType own, uint32_t first_option,
                    ResizeParams* p) {
  Tensor input, size, output;
  Status status = context->UseInput(0, 0, &input);
  if (status == Status::kOk) status = context->ReadInt32(1, &size);
  if (status == Status::kOk) status = context->UseOutput(&output);
  if (status != Status::kOk) return status;
  if (context->options_type() != own) return Status::kModelMalformed;
  if (input.rank != 4 || output.rank != 4 || size.elements != 2 ||
      input.dims[0] != output.dims[0] || input.dims[3] != output.dims[3]) {
    return Status::kModelUnsupportedShape;
  }
  p->batches = input.dims[0];
  p->channels = input.dims[3];
  constexpr int32_t kMaxSide = 1 << 16;
  for (int32_t i = 0; i < 2; ++i) {
    p->input[i] = input.dims[1 + i];
    p->output[i] = output.dims[1 + i];
    if (context->model()->Int32At(size, static_cast<uint32_t>(i)) != p->output[i] ||
        p->input[i] > kMaxSide || p->output[i] > kMaxSide) {
      return Status::kModelUnsupportedShape;
    }
  }
  p->align_corners = context->options().Scalar<uint8_t>(first_option, 0) != 0;
  p->half_pixel = context->options().Scalar<uint8_t>(first_option + 1, 0) != 0;
  return Status::kOk;
}

Status PrepareNearest(PrepareContext* context) {
  ResizeParams p;
  const Status status = PrepareSizes(context, OptionsType::kResizeNearestNeighbor, 0, &p);
  if (status == Status::kOk) context->SaveParams(p);
  return status;
}

// As the reference, in single precision.
int32_t Nearest(const ResizeParams& p, int32_t axis, int32_t at) {
  const int32_t input = p.input[axis];
  const int32_t output = p.output[axis];
  const bool corners = p.align_corners && output > 1;
  const float scale = corners ? static_cast<float>(input - 1) / static_cast<float>(output - 1)
                              : static_cast<float>(input) / static_cast<float>(output);
  const float place = (static_cast<float>(at) + (p.half_pixel ? 0.5f : 0.0f)) * scale;
  int32_t nearest = static_cast<int32_t>(place);
  if (p.align_corners && place - static_cast<float>(nearest) >= 0.5f) ++nearest;
  return Min(nearest, input - 1);
}

void EvalNearest(const EvalContext& context, const Node& node) {
  const ResizeParams& p = context.Params<ResizeParams>(node);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  for (int32_t b = 0; b < p.batches; ++b) {
    for (int32_t y = 0; y < p.output[0]; ++y) {
      const int8_t* row = input + Nearest(p, 0, y) * p.input[1] * p.channels;
      for (int32_t x = 0; x < p.output[1]; ++x) {
        memcpy(output, row + Nearest(p, 1, x) * p.channels, static_cast<size_t>(p.channels));
        output += p.channels;
      }
    }
    input += p.input[0] * p.input[1] * p.channels;
  }
}

// The two neighbours of an output position, and how far it lies from the first, in 1/1024.
struct Between {
  int32_t low, high, far;
};

Between Neighbours(const ResizeParams& p, int32_t axis, int32_t at) {
  const int32_t scale = p.scales[axis];
  const int32_t place = at * scale + (p.half_pixel ? scale / 2 - (1 << 9) : 0);
  const int32_t low = Max<int32_t>(place / (1 << 10), 0);
  return {low, Min((place + (1 << 10) - 1) / (1 << 10), p.input[axis] - 1),
          place - low * (1 << 10)};
}

Status PrepareBilinear(PrepareContext* context) {
  ResizeParams p;
  const Status status = PrepareSizes(context, OptionsType::kResizeBilinear, 2, &p);
  if (status != Status::kOk) return status;
  if (p.half_pixel && p.align_corners) return Status::kModelMalformed;
  for (int32_t i = 0; i < 2; ++i) {
    const int32_t less = p.align_corners && p.output[i] > 1 ? 1 : 0;
    const int32_t steps = p.output[i] - less;
    p.scales[i] = ((1 << 10) * (p.input[i] - less) + steps / 2) / steps;
    // Where the rounded scale leads beyond the input, the reference reads what lies there.
    if (Neighbours(p, i, p.output[i] - 1).low >= p.input[i]) return Status::kModelUnsupportedShape;
  }
  context->SaveParams(p);
  return Status::kOk;
}

void EvalBilinear(const EvalContext& context, const Node& node) {
  const ResizeParams& p = context.Params<ResizeParams>(node);
  const int8_t* input = context.Input(node, 0);
  int8_t* output = context.Output(node);
  const int32_t row = p.input[1] * p.channels;
  for (int32_t b = 0; b < p.batches; ++b) {
    for (int32_t y = 0; y < p.output[0]; ++y) {
      const Between v = Neighbours(p, 0, y);
      const int8_t* upper = input + v.low * row;
      const int8_t* lower = input + v.high * row;
      for (int32_t x = 0; x < p.output[1]; ++x) {
        const Between h = Neighbours(p, 1, x);
        const int32_t left = h.low * p.channels;
        const int32_t right = h.high * p.channels;
        for (int32_t c = 0; c < p.channels; ++c) {
          const int32_t above = upper[left + c] * ((1 << 10) - h.far) + upper[right + c] * h.far;
          const int32_t below = lower[left + c] * ((1 << 10) - h.far) + lower[right + c] * h.far;
          // (At most 128 * 2048 * 2048 in all, where a half pixel lies outside.)
          const int32_t sum = above * ((1 << 10) - v.far) + below * v.far;
          *output++ = static_cast<int8_t>((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
        }
      }
    }
    input += p.input[0] * row;
  }
}

}  // namespace

extern const Kernel kResizeNearestNeighborKernel;
extern const Kernel kResizeBilinearKernel;
const Kernel kResizeNearestNeighborKernel = {BuiltinOp::kResizeNearestNeighbor, PrepareNearest,
                                             EvalNearest};
const Kernel kResizeBilinearKernel = {BuiltinOp::kResizeBilinear, PrepareBilinear, EvalBilinear};

}  // namespace tinymia
