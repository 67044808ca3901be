#include "update.h"

#include <string.h>

#include "../fmath.h"
#include "discrete_gaussian.h"

namespace tinymia {
namespace {

// Noise of updates takes a stream of its own: none of DP-SGD's words come twice.
constexpr auto kUpdateNoise = static_cast<SecretUse>(32);
constexpr uint32_t kMostSigma = 1u << 23;  // of DiscreteGaussian
constexpr float kMostNoise = 4194304.0f;   // in units; the bound that it multiplies is below twice

// The float norm of n numbers, summed in blocks, is off by at most (kBlock + n / kBlock) / 2^24 of
// itself: 1e-4 covers that up to 50,000 of them.
constexpr uint32_t kBlock = 32;
constexpr float kSafe = 0.9999f;

float Norm2(const float* a, const float* b, uint32_t count) {
  float all = 0.0f;
  for (uint32_t at = 0; at < count; at += kBlock) {
    const uint32_t end = count - at < kBlock ? count : at + kBlock;
    float sum = 0.0f;
    for (uint32_t i = at; i < end; ++i) {
      const float difference = a[i] - b[i];
      sum = sum + difference * difference;
    }
    all = all + sum;
  }
  return all;
}

}  // namespace

UpdateTerm CheckUpdate(const UpdateSettings& s) {
  // Written so that NaN fails.
  if (!(s.clip_norm >= kLeastUpdateClip && s.clip_norm <= kMostUpdateClip)) {
    return UpdateTerm::kClipNorm;
  }
  if (s.units < kLeastUnits || s.units > kMostUnits) return UpdateTerm::kUnits;
  if (s.noise == 0.0f) return UpdateTerm::kNone;
  const bool fits = s.noise >= 1e-3f && s.noise <= kMostUpdateNoise &&
                    s.noise * static_cast<float>(s.units) < kMostNoise;
  return fits ? UpdateTerm::kNone : UpdateTerm::kNoise;
}

float BoundOfUnits(uint32_t units, uint32_t count) {
  return static_cast<float>(units) + 0.5f * Sqrt(static_cast<float>(count)) + 1.0f;
}

uint32_t SigmaOfUpdate(const UpdateSettings& s, uint32_t count) {
  const float sigma = s.noise * BoundOfUnits(s.units, count);
  const auto most = static_cast<float>(kMostSigma - 2);
  return static_cast<uint32_t>(sigma < most ? sigma : most) + 1;
}

UpdateFacts MakeUpdate(const float* theta, uint32_t count, const UpdateSettings& s,
                       const SecretKey& key, float* shared) {
  const float norm2 = Norm2(theta, shared, count);
  UpdateFacts facts = {Sqrt(norm2), false};
  const bool is_number = norm2 < 3e38f;
  const float bound = s.clip_norm * kSafe;
  facts.clipped = is_number && facts.norm > bound;
  const float factor = facts.clipped ? bound / facts.norm : 1.0f;
  const float scale = factor * (static_cast<float>(s.units) / s.clip_norm);
  const bool noisy = s.noise > 0.0f;
  const uint32_t sigma = noisy ? SigmaOfUpdate(s, count) : 0;
  SecretStream stream(key, kUpdateNoise, 0);
  SecretBits bits(&stream);
  for (uint32_t i = 0; i < count; ++i) {
    const float units = is_number ? (theta[i] - shared[i]) * scale : 0.0f;
    int32_t whole = RoundToInt(units);
    if (noisy) whole += DiscreteGaussian(sigma, &bits);
    shared[i] = IntToBits(whole);
  }
  if (!is_number) facts.norm = 0.0f;
  return facts;
}

uint32_t FirstTooLarge(const float* update, uint32_t count, uint32_t width) {
  if (width >= 4) return count;
  const int32_t most = (1 << (8 * width - 1)) - 1;
  for (uint32_t i = 0; i < count; ++i) {
    const int32_t value = BitsToInt(update[i]);
    if (value > most || value < -most - 1) return i;
  }
  return count;
}

void WriteUpdate(const float* update, uint32_t count, uint32_t width, uint8_t* out) {
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t bits = FloatToBits(update[i]);
    for (uint32_t b = 0; b < width; ++b) *out++ = static_cast<uint8_t>(bits >> (8 * b));
  }
}

}  // namespace tinymia
