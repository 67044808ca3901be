#include "memguard.h"

#include <string.h>

#include "../policy.h"
#include "steps.h"

namespace tinymia {
namespace {

constexpr uint32_t kSteps = 40;
constexpr float kFirstLength = 0.5f;
constexpr float kFarthest = 20.0f;  // behind the largest logit: what lies lower has no slope
constexpr float kMargin = 1e-3f;    // of the label before all other classes

// The classifier's output for an answer, and its slope in each probability.
float Judge(const Classifier& c, const float* answer, const uint8_t* order, float* slope) {
  const uint32_t n = c.classes;
  for (uint32_t k = 0; k < n; ++k) slope[k] = 0.0f;
  float output = c.out_bias();
  for (uint32_t j = 0; j < c.hidden; ++j) {
    const float* row = c.values + j * n;
    float unit = c.bias()[j];
    for (uint32_t k = 0; k < n; ++k) unit = unit + row[k] * answer[order[k]];
    if (!(unit > 0.0f)) continue;
    const float out = c.out()[j];
    output = output + out * unit;
    for (uint32_t k = 0; k < n; ++k) slope[order[k]] = slope[order[k]] + out * row[k];
  }
  return output;
}

float Size(float x) { return x < 0.0f ? -x : x; }

// A step of that length along the slope, which is one in the answer's logits now; against it where
// `length` is negative.
void Step(float length, const float* answer, uint32_t label, uint32_t n, float* slope,
          float* logits) {
  float mean = 0.0f;
  for (uint32_t k = 0; k < n; ++k) mean = mean + answer[k] * slope[k];
  float most = 0.0f;
  for (uint32_t k = 0; k < n; ++k) {
    slope[k] = answer[k] * (slope[k] - mean);
    most = Larger(Size(slope[k]), most);
  }
  if (!(most > 1e-30f && most < 1e30f)) return;
  float squares = 0.0f;
  for (uint32_t k = 0; k < n; ++k) {
    slope[k] = slope[k] / most;
    squares = squares + slope[k] * slope[k];
  }
  const float factor = length / Sqrt(squares);
  for (uint32_t k = 0; k < n; ++k) logits[k] = logits[k] + factor * slope[k];
  for (uint32_t k = 0; k < n; ++k) {
    const float allowed = logits[label] - kMargin;
    if (k != label && logits[k] > allowed) logits[k] = allowed;
  }
}

}  // namespace

void Confuse(const Classifier& classifier, float distortion, const SecretKey& query, float* answer,
             uint32_t n, float* scratch) {
  if (classifier.classes != n) return;
  float* const logits = scratch;
  float* const moved = logits + n;
  float* const best = moved + n;
  float* const slope = best + n;
  auto* const order = static_cast<uint8_t*>(static_cast<void*>(slope + n));
  const uint32_t label = Top1(answer, n);
  ToLogits(answer, n, logits);
  for (uint32_t k = 0; k < n; ++k) logits[k] = Larger(logits[k], -kFarthest);
  memcpy(moved, answer, n * sizeof(float));
  memcpy(best, answer, n * sizeof(float));
  FirstOrder(n, order);
  float sure = 0.0f, before = 0.0f, length = kFirstLength;
  for (uint32_t step = 0; step <= kSteps; ++step) {
    Sort(moved, n, order);
    const float output = Judge(classifier, moved, order, slope);
    if (step == 0) sure = Size(output);
    if (Size(output) < sure) {
      sure = Size(output);
      memcpy(best, moved, n * sizeof(float));
    }
    if (step != 0 && (output > 0.0f) != (before > 0.0f)) length = length * 0.5f;
    before = output;
    Step(output > 0.0f ? -length : length, moved, label, n, slope, logits);
    Softmax(logits, n, moved);
  }
  float distance = 0.0f;
  for (uint32_t k = 0; k < n; ++k) distance = distance + Size(best[k] - answer[k]);
  const uint32_t drawn = SecretStream(query, kAnswerChance, 0).Next() >> 8;
  // With probability distortion / distance, or always where that is above 1.
  if (static_cast<float>(drawn) * (1.0f / 16777216.0f) * distance < distortion) {
    memcpy(answer, best, n * sizeof(float));
  }
}

}  // namespace tinymia
