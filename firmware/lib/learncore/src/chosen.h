// What this image is built with: everything, or what one bundle needs. The host writes the latter
// into a header of each such build (host/tinymia/device/chosen.py):
//   TINYMIA_OPERATORS      numbers of operators in the .tflite schema, with commas between them
//   TINYMIA_WIDE_OPERATORS those that run on int16
//   TINYMIA_TRAINED_KINDS  a mask: bit k says that layers of LayerKind k can be trained
//   TINYMIA_WITHOUT_NAME   training setting NAME stays off
//   TINYMIA_GUARDS         1: answers can be guarded; 0: not
//   TINYMIA_UPDATES        1: updates for collaborative training can be made; 0: not
#pragma once

#include <stdint.h>

#if __has_include("tinymia_chosen.h")
#include "tinymia_chosen.h"
#endif

namespace tinymia {

#ifdef TINYMIA_OPERATORS
constexpr int32_t kChosenOperators[] = {TINYMIA_OPERATORS};
constexpr int32_t kChosenWideOperators[] = {TINYMIA_WIDE_OPERATORS};
template <int n>
constexpr bool IsAmong(const int32_t (&chosen)[n], int32_t number) {
  for (const int32_t one : chosen) {
    if (one == number) return true;
  }
  return false;
}
constexpr bool HasOperator(int32_t number) { return IsAmong(kChosenOperators, number); }
constexpr bool HasWideOperator(int32_t number) { return IsAmong(kChosenWideOperators, number); }
#else
constexpr bool HasOperator(int32_t) { return true; }
constexpr bool HasWideOperator(int32_t) { return true; }
#endif

#ifdef TINYMIA_TRAINED_KINDS
constexpr uint32_t kTrainedKinds = TINYMIA_TRAINED_KINDS;
#else
constexpr uint32_t kTrainedKinds = 0xFFFFFFFFu;
#endif

#ifdef TINYMIA_OPERATORS
constexpr bool kTextCommands = false;
#else
constexpr bool kTextCommands = true;
#endif

#ifdef TINYMIA_UPDATES
constexpr bool kUpdates = TINYMIA_UPDATES != 0;
#else
constexpr bool kUpdates = true;
#endif

#ifdef TINYMIA_GUARDS
constexpr bool kGuards = TINYMIA_GUARDS != 0;
#else
constexpr bool kGuards = true;
#endif

}  // namespace tinymia
