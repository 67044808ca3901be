// A bundle's references: section REFS. What public people's windows are where training starts at
// one layer, as int8 codes; a student learns from them what its teacher answers, and members are
// held beside them. Labels, where they are known, lie behind the rows.
#pragma once

#include <stdint.h>
#include <string.h>

namespace tinymia {

struct References {
  const int8_t* rows = nullptr;     // [count][width]
  const uint8_t* labels = nullptr;  // [count], below the number of classes
  uint32_t count = 0;
  uint32_t width = 0;
  uint32_t layer = 0;  // the first one that is trained

  uint32_t At(uint32_t first_layer) const { return first_layer == layer ? count : 0; }
  uint32_t LabelledAt(uint32_t first_layer) const {
    return labels == nullptr ? 0 : At(first_layer);
  }
};

constexpr uint32_t kMostReferences = 4096;

// `data` is not trusted. False where it is no such section.
inline bool ParseReferences(const uint8_t* data, uint32_t size, References* out) {
  uint32_t head[4];  // count, width, layer, whether there are labels
  if (size < sizeof head || out->count != 0) return false;
  memcpy(head, data, sizeof head);
  uint32_t rows = size - static_cast<uint32_t>(sizeof head);
  if (head[0] - 1 >= kMostReferences || head[1] == 0 || head[3] > 1) return false;
  if (head[3] != 0) {
    if (rows < head[0]) return false;
    rows -= head[0];
  }
  if (rows % head[0] != 0 || rows / head[0] != head[1]) return false;
  const void* first = data + sizeof head;
  const uint8_t* labels = head[3] != 0 ? data + sizeof head + rows : nullptr;
  *out = {static_cast<const int8_t*>(first), labels, head[0], head[1], head[2]};
  return true;
}

}  // namespace tinymia
