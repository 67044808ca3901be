#include "kernels/quantization.h"

namespace tinymia {
namespace {

constexpr int32_t kActNone = 0;
constexpr int32_t kActRelu = 1;
constexpr int32_t kActReluN1To1 = 2;
constexpr int32_t kActRelu6 = 3;

// Beyond this many products a sum of int8 x 9-bit products may overflow 32 bits.
constexpr uint32_t kMaxDepth = 65536;

bool QuantizedPoint(float value, const Tensor& output, int64_t* point) {
  int32_t steps = 0;
  if (!RoundToInt(value / output.scale, &steps)) return false;
  *point = static_cast<int64_t>(output.zero_point) + steps;
  return true;
}

Status PrepareBias(PrepareContext* context, uint32_t operand, uint32_t channels, Tensor* read,
                   Requantization* result) {
  if (!context->HasInput(operand)) return Status::kOk;
  const Status status = context->ReadInt32(operand, read);
  if (status != Status::kOk) return status;
  const Tensor& bias = *read;
  if (bias.elements != channels) return Status::kModelUnsupportedShape;
  if (bias.scales.count > 1 && bias.scales.count != channels) return Status::kModelMalformed;
  result->bias = kInModel | bias.data_pos;
  return context->model()->status();
}

// Sums are added to the bias as they are, in steps of `scale`, whatever its own scale is. The
// reference checks that in fully connected layers with one scale (and takes a missing one for 0);
// elsewhere half a step of the output is too much: who reads the bias as a number is misled.
bool BiasFits(TfliteModel* model, const Tensor& bias, uint32_t channel, double scale,
              const Tensor& output, bool strict) {
  if (!bias.constant() || (bias.scales.count == 0 && !strict)) return true;
  float stated = 0.0f;
  if (bias.scales.count > 0)
    stated = model->FloatAt(bias.scales, bias.scales.count > 1 ? channel : 0);
  const double limit = strict ? 0.02 : 0.5;
  double off = (scale - static_cast<double>(stated)) / static_cast<double>(output.scale);
  if (!strict) off *= model->Int32At(bias, channel);
  return off <= limit && off >= -limit;
}

ChannelScale Encode(const FixedMultiplier& multiplier) {
  // Zero, too, is at least 2^30 here: no sum has more than 31 bits, and all are shifted out.
  if (multiplier.multiplier == 0) return {0x80000000u, 31};
  return {static_cast<uint32_t>(multiplier.multiplier) * 2, -1 - multiplier.shift};
}

}  // namespace

Status FusedRange(int32_t activation, const Tensor& output, ActivationRange* range) {
  const bool wide = output.type == TensorType::kInt16;
  const int32_t lowest = wide ? INT16_MIN : INT8_MIN;
  const int32_t highest = wide ? INT16_MAX : INT8_MAX;
  int64_t low = lowest;
  int64_t high = highest;
  switch (activation) {
    case kActNone:
      break;
    case kActRelu:
      low = output.zero_point;
      break;
    case kActReluN1To1:
      if (!QuantizedPoint(-1.0f, output, &low) || !QuantizedPoint(1.0f, output, &high)) {
        return Status::kModelMalformed;
      }
      break;
    case kActRelu6:
      low = output.zero_point;
      if (!QuantizedPoint(6.0f, output, &high)) return Status::kModelMalformed;
      break;
    default:
      return Status::kModelUnsupportedOp;
  }
  range->min = static_cast<int32_t>(Max<int64_t>(low, lowest));
  range->max = static_cast<int32_t>(Min<int64_t>(high, highest));
  return Status::kOk;
}

Status PrepareRequantization(PrepareContext* context, const Tensor& input, const Tensor& filter,
                             const Tensor& output, int32_t channel_dimension, uint32_t depth,
                             int32_t activation, bool shared_scale, bool keep_one,
                             Requantization* result, uint32_t bias_operand) {
  TfliteModel* model = context->model();
  const uint32_t channels = static_cast<uint32_t>(filter.dims[channel_dimension]);
  const bool per_channel = filter.scales.count > 1;
  if (filter.scales.count == 0) return Status::kModelUnsupportedType;
  if (per_channel &&
      (filter.scales.count != channels || filter.quantized_dimension != channel_dimension)) {
    return Status::kModelMalformed;
  }
  if (depth > kMaxDepth) return Status::kModelUnsupportedShape;
  // Weights are symmetric: the sums below have no term for a weight's zero point.
  if (filter.zero_points.count > filter.scales.count) return Status::kModelMalformed;
  const uint8_t* zero_points = model->data() + filter.zero_points.pos;
  for (uint32_t i = 0; i < filter.zero_points.count * 8; ++i) {
    if (zero_points[i] != 0) return Status::kModelUnsupportedType;
  }
  result->output_zero_point = output.zero_point;
  Status status = FusedRange(activation, output, &result->range);
  if (status != Status::kOk) return status;

  const uint32_t scales = per_channel || !keep_one ? channels : 1;
  result->scales = static_cast<int32_t>(scales);
  uint32_t* doubled = context->Allocate<uint32_t>(scales + (scales + 3) / 4, &result->channels);
  // The arena is told to be too small. Going on would take a time that the file sets, not the
  // arena.
  if (doubled == nullptr) return Status::kOk;
  Tensor bias;
  status = PrepareBias(context, bias_operand, channels, &bias, result);
  if (status != Status::kOk) return status;
  const uint32_t checks = Max<uint32_t>(scales, bias.scales.count > 1 ? channels : 1);
  for (uint32_t i = 0; i < checks; ++i) {
    const float filter_scale = model->FloatAt(filter.scales, per_channel ? i : 0);
    const double product = static_cast<double>(input.scale) * static_cast<double>(filter_scale);
    FixedMultiplier multiplier;
    if (!QuantizeMultiplier(product / static_cast<double>(output.scale), &multiplier)) {
      return Status::kModelMalformed;
    }
    if (!BiasFits(model, bias, i, product, output, shared_scale && !per_channel)) {
      return Status::kModelBiasScale;
    }
    if (i >= scales) continue;
    const ChannelScale one = Encode(multiplier);
    if (!one.quick()) result->quick = false;
    doubled[i] = one.doubled;
    const int8_t shift = static_cast<int8_t>(one.shift);
    memcpy(static_cast<uint8_t*>(static_cast<void*>(doubled + scales)) + i, &shift, 1);
  }
  return model->status();
}

bool ComputeWindow(int32_t padding, int32_t input, int32_t filter, int32_t stride, int32_t dilation,
                   Window* window) {
  constexpr int64_t kMaxExtent = 1 << 24;
  if (input < 1 || filter < 1 || stride < 1 || dilation < 1) return false;
  const int64_t extent = (static_cast<int64_t>(filter) - 1) * dilation + 1;
  if (extent > kMaxExtent || input > kMaxExtent) return false;
  int64_t output = 0;
  if (padding == 0) {
    output = (static_cast<int64_t>(input) + stride - 1) / stride;
  } else if (padding == 1) {
    output = (static_cast<int64_t>(input) + stride - extent) / stride;
  }
  if (output < 1) return false;
  const int64_t missing = Max<int64_t>((output - 1) * stride + extent - input, 0);
  window->output = static_cast<int32_t>(output);
  window->pad_before = static_cast<int32_t>(missing / 2);
  return true;
}

}  // namespace tinymia
