#include "detector.h"

#include <string.h>

#include "../fmath.h"
#include "keyed.h"

namespace tinymia {
namespace {

constexpr uint32_t kWhole = 256;     // a question's worth of evidence
constexpr uint32_t kTolerated = 16;  // of it: one changed copy in 16 is ordinary
constexpr float kWidth = 11.1f;      // of a cell, in distances that are near: two points as far
                                     // apart as that share a cell of one grid in 30 %
constexpr uint32_t kUnlikely = UINT32_MAX;  // there are too few to compare with

// Adds what exceeds ordinary use.
void Count(uint32_t seen, uint32_t ordinary, uint32_t* evidence) {
  const uint32_t sum = *evidence + seen;
  *evidence = sum > ordinary ? sum - ordinary : 0;
}

uint32_t Mixed(uint32_t hash) {
  hash = (hash ^ hash >> 15) * 0x2C1B3C6Du;
  hash = (hash ^ hash >> 12) * 0x297A2D39u;
  return hash ^ hash >> 15;
}

}  // namespace

Detector::Place Detector::Locate(float near, const SecretKey& device, const int8_t* features,
                                 uint32_t count) {
  constexpr uint32_t kBits = kGrids * kDirections;
  static_assert(kBits == 32, "one word a feature");
  // Sums over the features that a direction takes; twice that, less all of them, is the place
  // along a direction of +1 and -1.
  uint32_t sums[kBits] = {};
  uint32_t rest = 0;
  SecretStream stream(device, kAnswerWatch, 0);
  // Two sums a word, which hold so many features.
  constexpr uint32_t kAtOnce = 256;
  constexpr uint32_t kPairs = kBits / 2;
  for (uint32_t from = 0; from < count; from += kAtOnce) {
    const uint32_t to = count - from < kAtOnce ? count : from + kAtOnce;
    uint32_t pairs[kPairs] = {};
    for (uint32_t i = from; i < to; ++i) {
      const uint32_t code = static_cast<uint32_t>(features[i] + 128);
      rest += 255u - code;
      const uint32_t word = stream.Next();
      for (uint32_t j = 0; j < kPairs; ++j) pairs[j] += (word >> j & 0x00010001u) * code;
    }
    for (uint32_t j = 0; j < kPairs; ++j) {
      sums[j] += pairs[j] & 0xFFFFu;
      sums[kPairs + j] += pairs[j] >> 16;
    }
  }
  const float width = kWidth * near * Sqrt(static_cast<float>(count)) + 1.0f;
  const auto step = static_cast<uint32_t>(width);
  Place place = {{0x811C9DC5u, 0x811C9DC5u}, 0};
  uint32_t whole = 0x811C9DC5u;
  for (uint32_t j = 0; j < kBits; ++j) {
    uint32_t& hash = place.grid[j / kDirections];
    hash = (hash ^ (2 * sums[j] + rest) / step) * 0x01000193u;
    whole = (whole ^ sums[j]) * 0x01000193u;
  }
  for (uint32_t& hash : place.grid) hash = Mixed(hash);
  place.question = static_cast<uint16_t>(Mixed(whole));
  return place;
}

uint32_t Detector::Compare(const int8_t* sampled, uint32_t n) const {
  uint32_t least = UINT32_MAX, sum = 0;
  for (uint32_t k = 0; k < number_; ++k) {
    uint32_t far = 0;
    for (uint32_t i = 0; i < n; ++i) {
      const int32_t apart = sampled[i] - kept_[k][i];
      far += static_cast<uint32_t>(apart * apart);
    }
    least = far < least ? far : least;
    sum += far;
  }
  if (least == 0) return 0;
  if (number_ < kKept) return kUnlikely;
  // At most 2^8 * 64 * 255^2, and the sum is at least kKept.
  const uint32_t share = (least << 8) / (sum / kKept);
  return share > 0 ? share : 1;
}

void Detector::Begin() {
  if (!seen_) return;  // each training begins anew, mostly unasked
  seen_ = false;
  memset(cells_, 0, sizeof cells_);
  number_ = 0;
  evidence_ = Evidence();
  alarm_ = 0;
}

void Detector::Set(const GuardSettings& settings) {
  const uint32_t level = settings.watch * kWhole;
  if (near_ == settings.watch_near && spread_ == settings.watch_spread && level_ == level) return;
  near_ = settings.watch_near;
  spread_ = settings.watch_spread;
  level_ = level;
  Begin();
}

void Detector::See(const SecretKey& device, const int8_t* features, uint32_t count) {
  seen_ = true;
  const Place place = Locate(near_, device, features, count);
  bool known = true, near = false;
  for (const uint32_t hash : place.grid) {
    Cell& cell = cells_[hash % kCells];
    const auto tag = static_cast<uint16_t>(hash >> 16 | 1u);
    const bool same = cell.tag == tag && cell.question == place.question;
    known = known && same;
    near = near || (cell.tag == tag && !same);
    cell = {tag, place.question};
  }
  int8_t sampled[kSampled];
  const uint32_t n = count < kSampled ? count : kSampled;
  for (uint32_t i = 0; i < n; ++i) sampled[i] = features[i * count / n];
  const uint32_t share = Compare(sampled, n);
  if (known || (share == 0 && n == count)) return;
  Count(near ? kWhole : 0, kTolerated, &evidence_.copies);
  if (share != 0 && share != kUnlikely) {
    Count(share, static_cast<uint32_t>(spread_ * kWhole), &evidence_.strange);
  }
  const uint32_t at = number_ < kKept ? number_++ : (place.grid[0] >> 9) % kKept;
  memcpy(kept_[at], sampled, n);
  if (alarm_ != 0) return;
  if (evidence_.copies >= level_) {
    alarm_ = 1;
  } else if (evidence_.strange >= level_) {
    alarm_ = 2;
  }
}

}  // namespace tinymia
