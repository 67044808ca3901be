// Reader of untrusted flatbuffers (https://flatbuffers.dev/internals). Every access is checked
// against the size of the file. The first failure is kept; later reads then return zeros, so a
// caller may read a whole table and ask for the status once.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "status.h"

namespace tinymia {

class FlatBuffer {
 public:
  FlatBuffer(const uint8_t* data, uint32_t size) : data_(data), size_(size) {}

  const uint8_t* data() const { return data_; }
  uint32_t size() const { return size_; }
  Status status() const { return status_; }
  bool ok() const { return status_ == Status::kOk; }
  Status Fail(Status status) {
    if (ok()) status_ = status;
    return status_;
  }

  // True when [pos, pos + bytes) lies inside the file.
  bool Check(uint32_t pos, uint64_t bytes) {
    if (ok() && pos + bytes <= size_) return true;
    Fail(Status::kModelTruncated);
    return false;
  }

  template <typename T>
  T Read(uint32_t pos) {
    T value = T();
    if (Check(pos, sizeof(T))) memcpy(&value, data_ + pos, sizeof(T));
    return value;
  }

  // Follows the offset stored at pos; 0 after a failure.
  uint32_t Follow(uint32_t pos);

 private:
  const uint8_t* data_;
  uint32_t size_;
  Status status_ = Status::kOk;
};

struct FbVector {
  uint32_t pos = 0;  // of the first element
  uint32_t count = 0;
};

class FbTable {
 public:
  FbTable() = default;
  FbTable(FlatBuffer* buffer, uint32_t pos);

  bool present() const { return buffer_ != nullptr; }

  // Position of a field's value, or 0 when the file does not have it.
  uint32_t Field(uint32_t id, uint32_t bytes) const;

  template <typename T>
  T Scalar(uint32_t id, T fallback) const {
    const uint32_t pos = Field(id, sizeof(T));
    return pos == 0 ? fallback : buffer_->Read<T>(pos);
  }

  FbTable Table(uint32_t id) const;
  FbVector Vector(uint32_t id, uint32_t element_bytes) const;

 private:
  FlatBuffer* buffer_ = nullptr;
  uint32_t pos_ = 0;
  uint32_t vtable_ = 0;
  uint16_t vtable_size_ = 0;
  uint16_t table_size_ = 0;
};

// Element `index` of a vector of tables; fails when the index is out of range.
FbTable TableAt(FlatBuffer* buffer, const FbVector& vector, uint32_t index);

}  // namespace tinymia
