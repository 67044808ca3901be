#include "guard.h"

#include "../fmath.h"
#include "../policy.h"
#include "../rng.h"
#include "../train/gaussian.h"
#include "memguard.h"
#include "steps.h"

namespace tinymia {
namespace {

int32_t DrawGaussian(SecretStream* stream) {
  const uint32_t first = stream->Next();
  return Gaussian<float>(first, stream->Next());
}

// Noise on a grid of whole units, so that no floating-point artefact tells what was added. The
// Gaussian of training, see gaussian.h; or the discrete Laplace law, see keyed.h.
void AddNoise(const GuardSettings& s, const SecretKey& query, float* logits, uint32_t n) {
  const bool gaussian = s.noise_law == NoiseLaw::kGaussian;
  const float unit = s.noise / (gaussian ? kNoiseGrid : static_cast<float>(kLaplaceScale));
  SecretStream stream(query, kAnswerNoise, 0);
  for (uint32_t k = 0; k < n; ++k) {
    const float behind = -logits[k] < s.noise_bound ? -logits[k] : s.noise_bound;
    const float nearest = behind / unit + 0.5f;
    const auto units = static_cast<int32_t>(nearest);
    const int32_t drawn = gaussian ? DrawGaussian(&stream) : DiscreteLaplace32(&stream);
    logits[k] = static_cast<float>(drawn - units) * unit;
  }
}

// The other answer's probabilities in the order of this one's.
void Swap(const float* spare, float* answer, uint32_t n, float* scratch) {
  float* const sorted = scratch;
  auto* const order = static_cast<uint8_t*>(static_cast<void*>(scratch + n));
  FirstOrder(n, order);
  Sort(spare, n, order);
  for (uint32_t k = 0; k < n; ++k) sorted[k] = spare[order[k]];
  FirstOrder(n, order);
  Sort(answer, n, order);
  for (uint32_t k = 0; k < n; ++k) answer[order[k]] = sorted[k];
}

}  // namespace

void SpareWindow(uint32_t number, uint32_t bytes, int8_t* out) {
  constexpr uint64_t kKey = 0x504D41485F414D54u;  // public
  for (uint32_t at = 0; at < bytes; at += 16) {
    const Philox4x32 drawn = Philox(kKey, at / 16, number, 0, 0);
    const uint32_t left = bytes - at;
    memcpy(out + at, drawn.word, left < 16 ? left : 16);
  }
}

uint32_t SpareOf(const SecretKey& query) {
  return SecretStream(query, kAnswerSpare, 0).Next() % kSpareWindows;
}

void Guard(const GuardSettings& settings, const Classifier* classifier, const SecretKey& query,
           const float* spare, float* answer, uint32_t n, float* scratch) {
  for (uint32_t k = 0; k < n; ++k) {
    if (!(answer[k] >= 0.0f && answer[k] <= 2.0f)) return;
  }
  const bool noisy = settings.noise_law != NoiseLaw::kNone;
  uint32_t label = Top1(answer, n);
  if (settings.temperature > 0.0f || noisy) {
    ToLogits(answer, n, answer);
    if (settings.temperature > 0.0f) {
      for (uint32_t k = 0; k < n; ++k) answer[k] = answer[k] / settings.temperature;
    }
    if (noisy) AddNoise(settings, query, answer, n);
    Softmax(answer, n, answer);
    if (noisy) label = Top1(answer, n);
  }
  if (settings.swap != 0 && spare != nullptr) Swap(spare, answer, n, scratch);
  if (settings.classifier != 0 && classifier != nullptr) {
    Confuse(*classifier, settings.distortion, query, answer, n, scratch);
  }
  KeepLabel(label, answer, n);
}

}  // namespace tinymia
