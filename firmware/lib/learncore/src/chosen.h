// What this image is built with: everything, or what one bundle needs. The host writes the latter
// into a header of each such build (host/tinymia/device/chosen.py):
//   TINYMIA_OPERATORS      numbers of operators in the .tflite schema, with commas between them
//   TINYMIA_WIDE           1 or 0: whether those on int16 values are there, too
//   TINYMIA_TRAINED_KINDS  a mask: bit k says that layers of LayerKind k can be trained
#pragma once

#include <stdint.h>

#if __has_include("tinymia_chosen.h")
#include "tinymia_chosen.h"
#endif

namespace tinymia {

#ifdef TINYMIA_OPERATORS
constexpr int32_t kChosenOperators[] = {TINYMIA_OPERATORS};
constexpr bool HasOperator(int32_t number) {
  for (const int32_t chosen : kChosenOperators) {
    if (chosen == number) return true;
  }
  return false;
}
#else
constexpr bool HasOperator(int32_t) { return true; }
#endif

// Images of boards have them only where they are chosen: they take int8 models from and to the
// line, which seldom have int16 values inside.
#ifdef TINYMIA_WIDE
constexpr bool kWideKernels = TINYMIA_WIDE != 0;
#elif defined(TINYMIA_SMALL)
constexpr bool kWideKernels = false;
#else
constexpr bool kWideKernels = true;
#endif

#ifdef TINYMIA_TRAINED_KINDS
constexpr uint32_t kTrainedKinds = TINYMIA_TRAINED_KINDS;
#else
constexpr uint32_t kTrainedKinds = 0xFFFFFFFFu;
#endif

}  // namespace tinymia
