// The core's own exp, log and square root, for tests.
#include <stdint.h>

#include "fmath.h"

extern "C" void tinymia_exp(const float* x, float* y, int32_t n) {
  for (int32_t i = 0; i < n; ++i) y[i] = tinymia::Exp(x[i]);
}

extern "C" void tinymia_log(const float* x, float* y, int32_t n) {
  for (int32_t i = 0; i < n; ++i) y[i] = tinymia::Log(x[i]);
}

extern "C" void tinymia_soft_sqrt(const float* x, float* y, int32_t n) {
  for (int32_t i = 0; i < n; ++i) {
    y[i] = tinymia::BitsToFloat(tinymia::SoftSqrt(tinymia::FloatToBits(x[i])));
  }
}
