#include "store.h"

#include <string.h>

#include "../crc32.h"

namespace tinymia {

void ExampleStore::Plan(Engine* engine, const Engine::Cut& cut, bool raw) {
  engine_ = engine;
  cut_ = cut;
  const Engine::TensorInfo& in = engine->input_info();
  raw_ = raw && cut.nodes != 0;  // what lies before all operators is the window itself
  slot_bytes_ = static_cast<uint32_t>(raw_ ? in.bytes : cut.info.bytes);
  // [1][length][..][channels], or a flat window.
  const uint32_t channels = static_cast<uint32_t>(in.rank > 1 ? in.dims[in.rank - 1] : 1);
  const uint32_t bytes = static_cast<uint32_t>(in.bytes);
  shape_ = {channels == 0 ? 0 : bytes / channels, channels, in.scale, in.zero_point};
  capacity_ = stored_ = members_ = 0;
}

void ExampleStore::Place(uint8_t* memory, uint32_t capacity) {
  slots_ = static_cast<int8_t*>(static_cast<void*>(memory));
  capacity_ = capacity;
  labels_ = memory + capacity * slot_bytes_;
  bitmap_ = labels_ + capacity;
  Clear();
}

void ExampleStore::Resize(uint32_t capacity) {
  uint8_t* labels = static_cast<uint8_t*>(static_cast<void*>(slots_)) + capacity * slot_bytes_;
  uint8_t* bitmap = labels + capacity;
  const uint32_t used = (stored_ + 7) / 8;
  // What moves up goes last first.
  if (capacity > capacity_) {
    memmove(bitmap, bitmap_, used);
    memmove(labels, labels_, stored_);
  } else {
    memmove(labels, labels_, stored_);
    memmove(bitmap, bitmap_, used);
  }
  memset(bitmap + used, 0, (capacity + 7) / 8 - used);
  labels_ = labels;
  bitmap_ = bitmap;
  capacity_ = capacity;
}

void ExampleStore::Clear() {
  stored_ = 0;
  members_ = 0;
  memset(bitmap_, 0, (capacity_ + 7) / 8);
}

const int8_t* ExampleStore::Compute(const int8_t* window) {
  if (cut_.nodes == 0) return window;
  if (window != engine_->input()) {
    memcpy(engine_->input(), window, static_cast<uint32_t>(engine_->input_info().bytes));
  }
  engine_->Run(cut_);
  return cut_.data;
}

void ExampleStore::Put(uint32_t slot, const int8_t* window, uint8_t label) {
  const int8_t* kept = raw_ ? window : Compute(window);
  memcpy(slots_ + slot * slot_bytes_, kept, slot_bytes_);
  labels_[slot] = label;
  stored_ = slot + 1 > stored_ ? slot + 1 : stored_;
}

void ExampleStore::FillUpTo(uint32_t slot) {
  for (; stored_ < slot; ++stored_) {
    memset(slots_ + stored_ * slot_bytes_, 0, slot_bytes_);
    labels_[stored_] = 0;
  }
}

void ExampleStore::Select(const uint8_t* bitmap, uint32_t bytes) {
  const uint32_t room = (capacity_ + 7) / 8;
  memset(bitmap_, 0, room);
  memcpy(bitmap_, bitmap, bytes < room ? bytes : room);
  members_ = 0;
  for (uint32_t i = 0; i < stored_; ++i) members_ += IsMember(i) ? 1 : 0;
}

const int8_t* ExampleStore::Features(uint32_t slot) {
  const int8_t* kept = slots_ + slot * slot_bytes_;
  return raw_ ? Compute(kept) : kept;
}

const int8_t* ExampleStore::FeaturesOf(const int8_t* window) { return Compute(window); }

const int8_t* ExampleStore::Augmented(const TrainSettings& settings, uint32_t slot, uint32_t epoch,
                                      uint32_t position) {
  Augment(settings, shape_, epoch, position, slots_ + slot * slot_bytes_, engine_->input());
  return Compute(engine_->input());
}

uint64_t ExampleStore::Hash() const {
  Fnv1a hash;
  hash.Add(slots_, stored_ * slot_bytes_);
  hash.Add(labels_, stored_);
  hash.Add(bitmap_, (stored_ + 7) / 8);  // equal stores have equal hashes whatever the capacity
  return hash.value();
}

}  // namespace tinymia
