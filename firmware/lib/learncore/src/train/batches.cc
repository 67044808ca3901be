#include "batches.h"

#include <string.h>

#include "../fmath.h"
#include "../rng.h"

namespace tinymia {
namespace {

// Strictly between 0 and 1, in steps of 2^-23.
float Uniform(PhiloxStream* stream) {
  return (static_cast<float>(stream->Next() >> 9) + 0.5f) * 0x1p-23f;
}

// (One copy of each.)
__attribute__((noinline)) float LogOf(float x) { return Log(x); }
__attribute__((noinline)) float ExpOf(float x) { return Exp(x); }

// Beta(alpha, alpha). Up to alpha = 1 by Johnk's algorithm in logarithms (Devroye, Non-Uniform
// Random Variate Generation, 1986, section IX.3.5); above, where that would seldom accept, by
// Ulrich's polar method (section IX.3.6). Both accept every second try at least; after 32 it is
// 0.5.
float SymmetricBeta(float alpha, PhiloxStream* stream) {
  for (uint32_t tries = 0; tries < 32; ++tries) {
    const float u = Uniform(stream);
    const float v = Uniform(stream);
    if (alpha <= 1.0f) {
      const float log_u = LogOf(u);
      const float log_v = LogOf(v);
      if (ExpOf(log_u / alpha) + ExpOf(log_v / alpha) > 1.0f) continue;
      // x / (x + y) from log(y / x), which may be infinite.
      float ratio = (log_v - log_u) / alpha;
      ratio = ratio > 80.0f ? 80.0f : ratio;
      ratio = ratio < -80.0f ? -80.0f : ratio;
      return 1.0f / (1.0f + ExpOf(ratio));
    }
    const float w = v + v - 1.0f;
    const float s = u * u + w * w;
    if (s >= 1.0f) continue;
    const float radius = Sqrt(1.0f - ExpOf(LogOf(s) / (alpha - 0.5f)));
    return 0.5f + u * w / s * radius;
  }
  return 0.5f;
}

}  // namespace

void Batches::Begin(const TrainSettings* settings, const SecretKey& key, const uint8_t* members,
                    uint32_t slots, uint16_t* order) {
  *this = Batches();
  settings_ = settings;
  key_ = key;
  bitmap_ = members;
  slots_ = slots;
  order_ = order;
  for (uint32_t first = 0; first < slots; first += 8) {
    members_ += static_cast<uint32_t>(__builtin_popcount(MembersFrom(first)));
  }
  held_out_ = members_ * settings->holdout / 100;
  if (held_out_ == 0 && settings->holdout > 0 && members_ >= 2) held_out_ = 1;
}

uint32_t Batches::steps() const {
  const uint32_t n = settings_->is_private() ? settings_->expected_members : training();
  return (n + settings_->batch - 1) / settings_->batch;
}

void Batches::StartEpoch(uint32_t epoch) {
  const ShuffleDraw draw = StartUnshuffled(epoch);
  Shuffle(draw.seed, epoch, draw.items, draw.count);
}

ShuffleDraw Batches::StartUnshuffled(uint32_t epoch, const uint16_t* again) {
  epoch_ = epoch;
  drawn_ = 0;
  if (settings_->is_private()) return {0, order_, 0};
  const ShuffleDraw draw = {settings_->seed, order_ + held_out_, training()};
  if (again != nullptr) {
    memcpy(order_, again, members_ * sizeof *order_);
    return draw;
  }
  uint32_t n = 0;
  for (uint32_t first = 0; first < slots_; first += 8) {
    for (uint32_t left = MembersFrom(first); left != 0; left &= left - 1) {
      order_[n++] = static_cast<uint16_t>(first + static_cast<uint32_t>(__builtin_ctz(left)));
    }
  }
  if (held_out_ > 0) Shuffle(settings_->seed, 0, order_, n, Purpose::kHoldout);
  return draw;
}

uint32_t Batches::StartStep(uint32_t step) {
  const uint32_t batch = settings_->batch;
  if (!settings_->is_private()) {
    position_ = step * batch;
    first_ = held_out_ + position_;
    const uint32_t left = training() > position_ ? training() - position_ : 0;
    drawn_ = left < batch ? left : batch;
    return drawn_;
  }
  SecretStream stream(key_, SecretUse::kPoisson, StreamOf(step));
  return StartPoisson(step, [&stream] { return stream.Next(); });
}

uint32_t Batches::StartDrawn(uint32_t step, const uint32_t* words, uint32_t stride) {
  return StartPoisson(step, [&words, stride] {
    const uint32_t word = *words;
    words += stride;
    return word;
  });
}

template <typename Draw>
uint32_t Batches::StartPoisson(uint32_t step, Draw draw) {
  first_ = drawn_ = 0;
  position_ = step << 16;
  const uint32_t batch = settings_->batch;
  const uint32_t expected = settings_->expected_members;
  // (Divided by no 0, which is what it is in an image without.)
  const uint64_t rate = (static_cast<uint64_t>(batch) << 32) / (expected | (expected == 0));
  const bool all = batch >= expected;
  const uint32_t below = all ? 0 : static_cast<uint32_t>(rate);
  for (uint32_t first = 0; first < slots_; first += 8) {
    for (uint32_t left = MembersFrom(first); left != 0; left &= left - 1) {
      // (Written first and counted then: whether it takes part is no branch.)
      order_[drawn_] = static_cast<uint16_t>(first + static_cast<uint32_t>(__builtin_ctz(left)));
      drawn_ += all || draw() < below ? 1 : 0;
    }
  }
  return drawn_;
}

Example Batches::Mixed(uint16_t slot, uint32_t position) const {
  Example example = {slot, slot, 1.0f, position};
  PhiloxStream stream(settings_->seed, epoch_, position, Purpose::kMixup);
  example.partner = order_[held_out_ + stream.Below(training())];
  example.mix = SymmetricBeta(settings_->mixup, &stream);
  return example;
}

}  // namespace tinymia
