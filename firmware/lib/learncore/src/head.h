// The trainable tail: a dense layer with softmax on the backbone's int8 embedding, in float32, and
// its training step. One pass an example; no gradient of a single example is ever stored.
#pragma once

#include <stdint.h>

#include "arena.h"
#include "status.h"

namespace tinymia {

struct TrainSettings {
  float learning_rate = 0.2f;
  uint16_t batch = 1;
  float clip_norm = 0.0f;  // bound of one example's gradient norm; 0: no clipping
  float label_smoothing = 0.0f;
  uint64_t seed = 0;
};

// Number of the first setting that is out of range, counted from 1; 0 when all are right.
uint32_t CheckSettings(const TrainSettings& settings);

class Head {
 public:
  // Takes what training needs from the arena. `base` is weights [classes][dim], then bias
  // [classes]; it stays where it is (in flash). An embedding q stands for (q - zero_point) * scale.
  void Plan(const float* base, uint32_t classes, uint32_t dim, float scale, int32_t zero_point,
            Arena* arena);

  void Reset();  // back to the base tail

  // Class probabilities of one embedding.
  void Answer(const int8_t* embedding, float* probabilities);

  struct Progress {
    float loss = 0;  // summed over examples, before each one's update
    uint32_t clipped = 0;
  };
  // Adds one example's gradient, clipped, to the batch's; `first` starts a batch. In a batch of one
  // the gradient goes straight into the parameters.
  void Accumulate(const TrainSettings& settings, const int8_t* embedding, uint32_t label,
                  bool first, Progress* progress);
  // One SGD step with the mean gradient of `count` examples.
  void Apply(const TrainSettings& settings, uint32_t count);

  const float* parameters() const { return parameters_; }
  uint32_t parameter_count() const { return classes_ * dim_ + classes_; }
  uint32_t classes() const { return classes_; }
  uint32_t dim() const { return dim_; }

 private:
  float Dequantize(const int8_t* embedding);  // fills features_, returns their squared norm
  // Combines each entry of a parameter-shaped array with that of delta_ x (features_, 1).
  template <typename Combine>
  void AddOuterProduct(float* to, Combine combine) const;
  void Logits(float* logits) const;                 // from features_
  static float Softmax(float* values, uint32_t n);  // in place, returns log(sum exp(v - max)) + max

  const float* base_ = nullptr;
  float* parameters_ = nullptr;  // weights, then bias
  float* gradient_ = nullptr;    // same layout
  float* features_ = nullptr;    // [dim]
  float* delta_ = nullptr;       // [classes]
  uint32_t classes_ = 0;
  uint32_t dim_ = 0;
  float scale_ = 1.0f;
  int32_t zero_point_ = 0;
};

}  // namespace tinymia
