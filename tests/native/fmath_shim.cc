// The core's own exp and log, for tests.
#include <stdint.h>

#include "fmath.h"

extern "C" void tinymia_exp(const float* x, float* y, int32_t n) {
  for (int32_t i = 0; i < n; ++i) y[i] = tinymia::Exp(x[i]);
}

extern "C" void tinymia_log(const float* x, float* y, int32_t n) {
  for (int32_t i = 0; i < n; ++i) y[i] = tinymia::Log(x[i]);
}
