#include "head.h"

#include <string.h>

#include "fmath.h"

namespace tinymia {
namespace {

// Features held in registers while the classes go by; every sum still runs over features in order,
// so the blocking changes no bit.
constexpr uint32_t kBlock = 8;

}  // namespace

uint32_t CheckSettings(const TrainSettings& s) {
  // Written so that NaN fails.
  if (!(s.learning_rate > 0.0f && s.learning_rate <= 100.0f)) return 1;
  if (s.batch == 0) return 2;
  if (!(s.clip_norm >= 0.0f && s.clip_norm <= 1e6f)) return 3;
  if (!(s.label_smoothing >= 0.0f && s.label_smoothing < 1.0f)) return 4;
  return 0;
}

void Head::Plan(const float* base, uint32_t classes, uint32_t dim, float scale, int32_t zero_point,
                Arena* arena) {
  base_ = base;
  classes_ = classes;
  dim_ = dim;
  scale_ = scale;
  zero_point_ = zero_point;
  parameters_ = arena->AllocArray<float>(parameter_count());
  gradient_ = arena->AllocArray<float>(parameter_count());
  features_ = arena->AllocArray<float>(dim);
  delta_ = arena->AllocArray<float>(classes);
}

void Head::Reset() { memcpy(parameters_, base_, parameter_count() * sizeof(float)); }

float Head::Dequantize(const int8_t* embedding) {
  float norm2 = 0.0f;
  float* out = features_;
  const auto one = [&](uint32_t j) {
    const float x = static_cast<float>(embedding[j] - zero_point_) * scale_;
    out[j] = x;
    norm2 += x * x;
  };
  uint32_t left = dim_;
  for (; left >= kBlock; left -= kBlock, embedding += kBlock, out += kBlock) {
#pragma GCC unroll 8
    for (uint32_t j = 0; j < kBlock; ++j) one(j);
  }
  for (uint32_t j = 0; j < left; ++j) one(j);
  return norm2;
}

void Head::Logits(float* logits) const {
  const float* bias = parameters_ + classes_ * dim_;
  for (uint32_t k = 0; k < classes_; ++k) logits[k] = bias[k];
  uint32_t i = 0;
  for (; i + kBlock <= dim_; i += kBlock) {
    float x[kBlock];
#pragma GCC unroll 8
    for (uint32_t j = 0; j < kBlock; ++j) x[j] = features_[i + j];
    const float* w = parameters_ + i;
    for (uint32_t k = 0; k < classes_; ++k, w += dim_) {
      float sum = logits[k];
#pragma GCC unroll 8
      for (uint32_t j = 0; j < kBlock; ++j) sum += w[j] * x[j];
      logits[k] = sum;
    }
  }
  for (; i < dim_; ++i) {
    for (uint32_t k = 0; k < classes_; ++k) logits[k] += parameters_[k * dim_ + i] * features_[i];
  }
}

float Head::Softmax(float* values, uint32_t n) {
  float top = values[0];
  for (uint32_t k = 1; k < n; ++k) top = values[k] > top ? values[k] : top;
  float sum = 0.0f;
  for (uint32_t k = 0; k < n; ++k) {
    values[k] = Exp(values[k] - top);
    sum += values[k];
  }
  for (uint32_t k = 0; k < n; ++k) values[k] = values[k] / sum;
  return Log(sum) + top;
}

void Head::Answer(const int8_t* embedding, float* probabilities) {
  Dequantize(embedding);
  Logits(probabilities);
  Softmax(probabilities, classes_);
}

void Head::Accumulate(const TrainSettings& settings, const int8_t* embedding, uint32_t label,
                      bool first, Progress* progress) {
  const float norm2 = Dequantize(embedding);
  float* delta = delta_;
  Logits(delta);
  const float label_logit = delta[label];
  const float log_total = Softmax(delta, classes_);
  progress->loss += log_total - label_logit;

  const float off = settings.label_smoothing / static_cast<float>(classes_);
  float delta2 = 0.0f;
  for (uint32_t k = 0; k < classes_; ++k) {
    const float target = k == label ? 1.0f - settings.label_smoothing + off : off;
    delta[k] -= target;
    delta2 += delta[k] * delta[k];
  }
  if (settings.clip_norm > 0.0f) {
    // The gradient of a dense layer is the outer product of delta and (x, 1): its norm needs no
    // buffer.
    const float norm = Sqrt(delta2 * (norm2 + 1.0f));
    const bool over = norm > settings.clip_norm;
    const float factor = over ? settings.clip_norm / norm : 1.0f;
    progress->clipped += over ? 1 : 0;
    for (uint32_t k = 0; k < classes_; ++k) delta[k] *= factor;
  }

  if (settings.batch == 1) {
    // The same roundings as through the gradient: 0 + g is g.
    const float rate = settings.learning_rate;
    AddOuterProduct(parameters_, [rate](float w, float g) { return w - rate * g; });
  } else if (first) {
    AddOuterProduct(gradient_, [](float, float g) { return g; });
  } else {
    AddOuterProduct(gradient_, [](float sum, float g) { return sum + g; });
  }
}

template <typename Combine>
void Head::AddOuterProduct(float* to, Combine combine) const {
  uint32_t i = 0;
  for (; i + kBlock <= dim_; i += kBlock) {
    float x[kBlock];
#pragma GCC unroll 8
    for (uint32_t j = 0; j < kBlock; ++j) x[j] = features_[i + j];
    float* row = to + i;
    for (uint32_t k = 0; k < classes_; ++k, row += dim_) {
      const float d = delta_[k];
#pragma GCC unroll 8
      for (uint32_t j = 0; j < kBlock; ++j) row[j] = combine(row[j], d * x[j]);
    }
  }
  for (; i < dim_; ++i) {
    for (uint32_t k = 0; k < classes_; ++k) {
      to[k * dim_ + i] = combine(to[k * dim_ + i], delta_[k] * features_[i]);
    }
  }
  float* bias = to + classes_ * dim_;
  for (uint32_t k = 0; k < classes_; ++k) bias[k] = combine(bias[k], delta_[k]);
}

void Head::Apply(const TrainSettings& settings, uint32_t count) {
  if (settings.batch == 1) return;  // done already
  const float rate = settings.learning_rate / static_cast<float>(count);
  float* w = parameters_;
  const float* g = gradient_;
  uint32_t left = parameter_count();
  for (; left >= kBlock; left -= kBlock, w += kBlock, g += kBlock) {
#pragma GCC unroll 8
    for (uint32_t j = 0; j < kBlock; ++j) w[j] -= rate * g[j];
  }
  for (uint32_t j = 0; j < left; ++j) w[j] -= rate * g[j];
}

}  // namespace tinymia
