#include "classifier.h"

#include <string.h>

namespace tinymia {
namespace {

constexpr uint32_t kHeaderBytes = 16;
constexpr uint32_t kMostClasses = 256;

}  // namespace

bool ParseClassifiers(const uint8_t* data, uint32_t size, Classifiers* out) {
  if (size < kHeaderBytes || out->count != 0) return false;
  uint32_t head[4];  // classifiers, classes, hidden units, reserved
  memcpy(head, data, sizeof head);
  if (head[0] - 1 >= kMaxClassifiers || head[1] - 2 >= kMostClasses - 1 ||
      head[2] - 1 >= kMaxHidden || head[3] != 0) {
    return false;
  }
  const uint32_t values = head[0] * (head[2] * (head[1] + 2) + 1);
  if (size != kHeaderBytes + 4 * values) return false;
  for (uint32_t i = 0; i < values; ++i) {
    uint32_t bits;
    memcpy(&bits, data + kHeaderBytes + 4 * i, sizeof bits);
    if ((bits & 0x7F800000u) == 0x7F800000u) return false;  // NaN or infinite
  }
  out->count = head[0];
  out->first = {reinterpret_cast<const float*>(data + kHeaderBytes), head[1], head[2]};
  return true;
}

}  // namespace tinymia
