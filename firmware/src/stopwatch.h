// What work takes, in 64 bits: the tick counter is modulo 2^32, so look before it has turned once.
#pragma once

#include <stdint.h>

#include "hal.h"

namespace tinymia {

class Stopwatch {
 public:
  void Start() {
    ticks_ = 0;
    last_ = hal::Ticks();
  }

  uint64_t Look() {
    const uint32_t now = hal::Ticks();
    ticks_ += static_cast<uint32_t>(now - last_);
    last_ = now;
    return ticks_;
  }

  // What passed since the last look is no part of the work.
  void Skip() { last_ = hal::Ticks(); }

  uint64_t ticks() const { return ticks_; }  // at the last look

 private:
  uint64_t ticks_ = 0;
  uint32_t last_ = 0;
};

}  // namespace tinymia
