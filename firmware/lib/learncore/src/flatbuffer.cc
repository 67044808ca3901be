#include "flatbuffer.h"

namespace tinymia {

uint32_t FlatBuffer::Follow(uint32_t pos) {
  const uint32_t offset = Read<uint32_t>(pos);
  if (!ok()) return 0;
  // Offsets only point forwards, so no chain of tables can be cyclic.
  const uint64_t target = static_cast<uint64_t>(pos) + offset;
  if (offset == 0) {
    Fail(Status::kModelMalformed);
    return 0;
  }
  if (target >= size_) {
    Fail(Status::kModelTruncated);
    return 0;
  }
  return static_cast<uint32_t>(target);
}

FbTable::FbTable(FlatBuffer* buffer, uint32_t pos) {
  const int64_t vtable = static_cast<int64_t>(pos) - buffer->Read<int32_t>(pos);
  if (!buffer->ok()) return;
  if (vtable < 0) {
    buffer->Fail(Status::kModelMalformed);
    return;
  }
  if (vtable + 4 > buffer->size()) {
    buffer->Fail(Status::kModelTruncated);
    return;
  }
  vtable_ = static_cast<uint32_t>(vtable);
  vtable_size_ = buffer->Read<uint16_t>(vtable_);
  table_size_ = buffer->Read<uint16_t>(vtable_ + 2);
  if (vtable_size_ < 4 || (vtable_size_ & 1) != 0 || table_size_ < 4) {
    buffer->Fail(Status::kModelMalformed);
    return;
  }
  if (!buffer->Check(vtable_, vtable_size_) || !buffer->Check(pos, table_size_)) return;
  buffer_ = buffer;
  pos_ = pos;
}

uint32_t FbTable::Field(uint32_t id, uint32_t bytes) const {
  if (buffer_ == nullptr) return 0;
  const uint32_t entry = 4 + 2 * id;
  if (entry + 2 > vtable_size_) return 0;
  const uint16_t offset = buffer_->Read<uint16_t>(vtable_ + entry);
  if (offset == 0) return 0;
  if (offset < 4 || offset + bytes > table_size_) {
    buffer_->Fail(Status::kModelMalformed);
    return 0;
  }
  return pos_ + offset;
}

FbTable FbTable::Table(uint32_t id) const {
  const uint32_t field = Field(id, 4);
  if (field == 0) return FbTable();
  const uint32_t target = buffer_->Follow(field);
  return target == 0 ? FbTable() : FbTable(buffer_, target);
}

FbVector FbTable::Vector(uint32_t id, uint32_t element_bytes) const {
  FbVector vector;
  const uint32_t field = Field(id, 4);
  if (field == 0) return vector;
  const uint32_t target = buffer_->Follow(field);
  const uint32_t count = buffer_->Read<uint32_t>(target);
  if (!buffer_->ok()) return vector;
  if (!buffer_->Check(target + 4, static_cast<uint64_t>(count) * element_bytes)) return vector;
  vector.pos = target + 4;
  vector.count = count;
  return vector;
}

FbTable TableAt(FlatBuffer* buffer, const FbVector& vector, uint32_t index) {
  if (index >= vector.count) {
    buffer->Fail(Status::kModelMalformed);
    return FbTable();
  }
  const uint32_t target = buffer->Follow(vector.pos + 4 * index);
  return target == 0 ? FbTable() : FbTable(buffer, target);
}

}  // namespace tinymia
