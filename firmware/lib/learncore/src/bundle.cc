#include "bundle.h"

#include <string.h>

#include "crc32.h"

namespace tinymia {
namespace {

constexpr uint32_t kHeaderBytes = 32;
constexpr uint32_t kRowBytes = 16;
constexpr uint16_t kVersion = 1;
constexpr uint32_t kMaxClasses = 256;
constexpr uint32_t kMaxDim = 4096;

uint32_t U32(const uint8_t* at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

uint16_t U16(const uint8_t* at) {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

bool ParseTail(const uint8_t* data, uint32_t size, BundleView* view) {
  if (size < 8) return false;
  const uint32_t classes = U32(data);
  const uint32_t dim = U32(data + 4);
  if (classes < 2 || classes > kMaxClasses || dim < 1 || dim > kMaxDim) return false;
  if (size != 8 + 4 * (classes * dim + classes)) return false;
  view->classes = classes;
  view->dim = dim;
  // Sections are 16-byte aligned, so these floats are aligned too.
  view->tail = reinterpret_cast<const float*>(data + 8);
  for (uint32_t i = 0; i < classes * dim + classes; ++i) {
    if ((U32(data + 8 + 4 * i) & 0x7F800000u) == 0x7F800000u) return false;  // NaN or infinite
  }
  return true;
}

}  // namespace

Refusal ParseBundle(const uint8_t* data, uint32_t room, BundleView* view) {
  *view = BundleView();
  if (room < kHeaderBytes || memcmp(data, "TMIABNDL", 8) != 0) return {Status::kNoBundle, 0, 0};
  if (U16(data + 8) != kVersion) return {Status::kBundleVersion, U16(data + 8), kVersion};
  const uint32_t sections = U16(data + 10);
  const uint32_t size = U32(data + 12);
  if (size > room) return {Status::kBundleTruncated, size, room};
  const uint32_t table_end = kHeaderBytes + sections * kRowBytes;
  if (size < table_end) return {Status::kBundleTruncated, table_end, size};
  const uint32_t crc = Crc32(data + kHeaderBytes, size - kHeaderBytes);
  if (crc != U32(data + 16)) return {Status::kBundleChecksum, crc, U32(data + 16)};
  view->size = size;
  view->crc = crc;

  uint32_t last = table_end;
  for (uint32_t i = 0; i < sections; ++i) {
    const uint8_t* row = data + kHeaderBytes + i * kRowBytes;
    const uint32_t offset = U32(row + 4);
    const uint32_t bytes = U32(row + 8);
    if (offset < last || offset % 16 != 0 || offset > size || bytes > size - offset) {
      return {Status::kBundleMalformed, i, 0};
    }
    last = offset + bytes;
    if (memcmp(row, "MODL", 4) == 0) {
      if (view->model != nullptr) return {Status::kBundleMalformed, i, 0};
      view->model = data + offset;
      view->model_size = bytes;
    } else if (memcmp(row, "TAIL", 4) == 0) {
      if (view->tail != nullptr || !ParseTail(data + offset, bytes, view)) {
        return {Status::kBundleMalformed, i, 0};
      }
    }
  }
  if (view->model == nullptr) return {Status::kBundleMalformed, sections, 0};
  return {};
}

}  // namespace tinymia
