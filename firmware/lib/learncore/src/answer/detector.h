// A detector of questions that no ordinary use asks: GUARD's settings of the watch, see
// protocol.toml. It looks at what the trained layers read of each question, never at what was
// trained, so that an alarm tells nothing of members.
//
// Two signs count, each as evidence that grows by what exceeds ordinary use and falls by what
// lacks (CUSUM, Page 1954):
// 1. Changed copies of earlier questions, as one who looks for a boundary or averages asks. Each
//    question lies in a cell of two secret grids, each by 16 random directions, and cells keep
//    who was there last (as locality-sensitive hashing does for Blacklight, Li et al., USENIX
//    Security 2022): a few hundred questions are remembered, whatever their size.
// 2. Questions that no signal gave. Windows of signals crowd: the nearest of a few kept ones is
//    much nearer than the mean one. Points that are drawn in many dimensions are all equally far
//    (distances between questions: PRADA, Juuti et al., EuroS&P 2019).
// A question that was asked before tells nothing new, and does not count.
//
// It takes 4.1 KB of RAM, however many questions there are and however large.
#pragma once

#include <stdint.h>

#include "../cold.h"
#include "../train/noise.h"
#include "declared.h"

namespace tinymia {

// How full the evidence is, in 256ths of a question.
struct Evidence {
  uint32_t copies = 0;
  uint32_t strange = 0;
};

class Detector {
 public:
  // Forgets all questions and the alarm.
  TINYMIA_COLD void Begin();
  // Begins anew unless the settings are those that it has.
  TINYMIA_COLD void Set(const GuardSettings& settings);

  // Takes a question into account. `device` is the key of the device's answers, `features`
  // [count] what the trained layers read.
  TINYMIA_COLD void See(const SecretKey& device, const int8_t* features, uint32_t count);

  // What set off the alarm, which stays until it begins anew: 1 copies, 2 strange ones; 0: nothing
  // did.
  uint32_t alarm() const { return alarm_; }
  const Evidence& evidence() const { return evidence_; }

 private:
  static constexpr uint32_t kCells = 512;
  static constexpr uint32_t kKept = 32;
  static constexpr uint32_t kSampled = 64;  // features of a kept question
  static constexpr uint32_t kGrids = 2;
  static constexpr uint32_t kDirections = 16;  // of a grid

  struct Cell {
    uint16_t tag;  // 0: nobody was there
    uint16_t question;
  };
  struct Place {
    uint32_t grid[kGrids];  // hash of the cell
    uint16_t question;
  };

  static Place Locate(float near, const SecretKey& device, const int8_t* features, uint32_t count);
  // 256 times the squared distance to the nearest kept question by the mean one; 0: it is kept.
  uint32_t Compare(const int8_t* sampled, uint32_t n) const;

  float near_ = 0.0f;
  float spread_ = 0.0f;
  uint32_t level_ = 0;
  Cell cells_[kCells] = {};
  int8_t kept_[kKept][kSampled] = {};
  uint32_t number_ = 0;  // of those that are kept
  bool seen_ = false;    // a question, since it began
  Evidence evidence_;
  uint32_t alarm_ = 0;
};

// Of an image that guards no answers.
struct NoDetector {
  void Begin() {}
  void Set(const GuardSettings& settings) { (void)settings; }
  void See(const SecretKey& device, const int8_t* features, uint32_t count) {
    (void)device, (void)features, (void)count;
  }
  uint32_t alarm() const { return 0; }
};

template <bool present>
struct DetectorIf {
  using Type = Detector;
};
template <>
struct DetectorIf<false> {
  using Type = NoDetector;
};

}  // namespace tinymia
