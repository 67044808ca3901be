#include "kernels/wide.h"

namespace tinymia {
namespace {

constexpr uint32_t kNoOperand = 0xffff;
constexpr int64_t kMostBias = INT64_C(1) << 46;  // sums of products have at most 38 bits
constexpr int32_t kMostLeftShift = 7;            // of what has 47 bits

// Not every writer of .tflite files aligns biases.
int64_t ReadBias(const uint8_t* at, int32_t bytes) {
  if (bytes == 8) {
    int64_t value;
    memcpy(&value, at, sizeof value);
    return value;
  }
  if (bytes == 4) {
    int32_t value;
    memcpy(&value, at, sizeof value);
    return value;
  }
  int16_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

// MultiplyByFixed of a sum of up to 47 bits: with a multiplier of 16 bits, ties upwards.
int32_t MultiplyWide(int64_t sum, FixedMultiplier m) {
  constexpr int32_t kLargest = 0x7FFF;
  const int64_t multiplier =
      m.multiplier < kLargest << 16 ? (m.multiplier + (1 << 15)) >> 16 : kLargest;
  const int32_t shift = 15 - m.shift;
  return static_cast<int32_t>((sum * multiplier + (INT64_C(1) << (shift - 1))) >> shift);
}

int32_t BytesOf(TensorType type) {
  switch (type) {
    case TensorType::kInt64:
      return 8;
    case TensorType::kInt32:
      return 4;
    case TensorType::kInt16:
      return 2;
    default:
      return 0;
  }
}

// Whether the multiplier was flushed to zero (see Encode).
bool IsZero(const ChannelScale& scale) { return scale.shift == 31; }

}  // namespace

TINYMIA_AT_LOAD Status PrepareWideOutput(PrepareContext* context, const Tensor& input,
                                         const Tensor& filter, const Tensor& output,
                                         int32_t channel_dimension, uint32_t depth,
                                         int32_t activation, bool shared_scale,
                                         uint32_t bias_operand, int32_t other_bias_bytes,
                                         bool narrow, WideOutput* result) {
  // The reference takes int16 values as symmetric.
  if (input.zero_point != 0 || output.zero_point != 0) return Status::kModelUnsupportedType;
  Requantization& q = result->requantization;
  Status status = PrepareRequantization(context, input, filter, output, channel_dimension, depth,
                                        activation, false, false, &q, kNoOperand);
  if (status != Status::kOk || q.channels == kNoRef) return status;
  const uint32_t channels = static_cast<uint32_t>(filter.dims[channel_dimension]);
  result->narrow = narrow;
  TfliteModel* model = context->model();
  const bool biased = context->HasInput(bias_operand);
  Tensor bias;
  if (biased) {
    status = context->ReadInput(bias_operand, &bias);
    if (status != Status::kOk) return status;
    result->bias_bytes = BytesOf(bias.type);
    const bool known =
        result->bias_bytes == 8 || (other_bias_bytes > 0 && result->bias_bytes == other_bias_bytes);
    if (!known) return Status::kModelUnsupportedType;
    if (!bias.constant() || bias.elements != channels) return Status::kModelUnsupportedShape;
    if (bias.scales.count > 1 && bias.scales.count != channels) return Status::kModelMalformed;
    result->narrow = result->bias_bytes == 4;
    q.bias = kInModel | bias.data_pos;
  }
  const bool per_channel = filter.scales.count > 1;
  const bool strict = shared_scale && !per_channel;
  for (uint32_t i = 0; i < channels; ++i) {
    const float filter_scale = model->FloatAt(filter.scales, per_channel ? i : 0);
    const double product = static_cast<double>(input.scale) * static_cast<double>(filter_scale);
    FixedMultiplier multiplier;
    if (!ToFixed(product / static_cast<double>(output.scale), &multiplier)) {
      return Status::kModelMalformed;
    }
    if (!result->narrow && multiplier.shift > kMostLeftShift) return Status::kModelUnsupportedType;
    if (!biased) continue;
    const int64_t value =
        ReadBias(model->data() + bias.data_pos + i * static_cast<uint32_t>(result->bias_bytes),
                 result->bias_bytes);
    if (value >= kMostBias || value <= -kMostBias) return Status::kModelUnsupportedType;
    // As for int8: who reads the bias as a number must not be misled.
    if (bias.scales.count == 0 && !strict) continue;
    double off = product;
    if (bias.scales.count > 0) {
      off -= static_cast<double>(model->FloatAt(bias.scales, bias.scales.count > 1 ? i : 0));
    }
    // (A scale is stored in single precision, and a bias of 64 bits may be large.)
    if (off <= 1e-6 * product && off >= -1e-6 * product) continue;
    off /= static_cast<double>(output.scale);
    if (!strict) off *= static_cast<double>(value);
    const double limit = strict ? 0.02 : 0.5;
    if (!(off <= limit && off >= -limit)) return Status::kModelBiasScale;
  }
  return model->status();
}

int16_t WideFinisher::operator()(int64_t sum, int32_t channel) const {
  const ChannelScale scale = scales_[channel];
  const ActivationRange& range = output_.requantization.range;
  if (bias_ != nullptr) {
    sum += ReadBias(bias_ + channel * output_.bias_bytes, output_.bias_bytes);
  }
  int32_t value = 0;
  if (output_.narrow) {
    value = MultiplyByFixed(static_cast<int32_t>(static_cast<uint64_t>(sum)), scale.slow());
  } else if (!IsZero(scale)) {
    value = MultiplyWide(sum, scale.slow());
  }
  return static_cast<int16_t>(Clamp(value, range.min, range.max));
}

}  // namespace tinymia
