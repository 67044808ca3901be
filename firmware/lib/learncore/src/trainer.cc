#include "trainer.h"

#include <string.h>

#include "crc32.h"
#include "rng.h"

namespace tinymia {

bool Trainer::Plan(Head* head, Arena* arena) {
  head_ = head;
  // An embedding, a label, an entry of the order and one bit each; 64 bytes cover what alignment
  // takes.
  const uint32_t each = head->dim() + 1 + 2;
  const uint32_t left = arena->size() > arena->used() + 64 ? arena->size() - arena->used() - 64 : 0;
  uint32_t capacity = static_cast<uint32_t>(static_cast<uint64_t>(left) * 8 / (each * 8 + 1));
  capacity = (capacity < kMaxSlots ? capacity : kMaxSlots) / 8 * 8;
  capacity_ = capacity == 0 ? 8 : capacity;  // 8: so that a refusal names the least that is needed
  store_ = arena->AllocArray<int8_t>(capacity_ * head->dim());
  labels_ = arena->AllocArray<uint8_t>(capacity_);
  order_ = arena->AllocArray<uint16_t>(capacity_);
  bitmap_ = arena->AllocArray<uint8_t>(capacity_ / 8);
  return bitmap_ != nullptr;
}

void Trainer::Clear() {
  stored_ = 0;
  members_ = 0;
  memset(bitmap_, 0, capacity_ / 8);
  Begin(TrainSettings());
}

void Trainer::Select(const uint8_t* bitmap, uint32_t bytes) {
  memset(bitmap_, 0, capacity_ / 8);
  memcpy(bitmap_, bitmap, bytes);
  members_ = 0;
  for (uint32_t i = 0; i < capacity_; ++i) members_ += IsMember(i) ? 1 : 0;
}

void Trainer::Begin(const TrainSettings& settings) {
  settings_ = settings;
  epoch_ = 0;
  head_->Reset();
}

Trainer::Result Trainer::Train(uint32_t epochs) {
  Result result;
  Head::Progress progress;
  for (uint32_t e = 0; e < epochs; ++e, ++epoch_) {
    progress.loss = 0;
    // From slot order each time: an epoch's order does not depend on the epochs before it.
    uint32_t n = 0;
    for (uint32_t i = 0; i < stored_; ++i) {
      if (IsMember(i)) order_[n++] = static_cast<uint16_t>(i);
    }
    Shuffle(settings_.seed, epoch_, order_, n);
    for (uint32_t start = 0; start < n; start += settings_.batch) {
      const uint32_t end = n - start < settings_.batch ? n : start + settings_.batch;
      for (uint32_t i = start; i < end; ++i) {
        const uint32_t s = order_[i];
        head_->Accumulate(settings_, slot(s), labels_[s], i == start, &progress);
      }
      head_->Apply(settings_, end - start);
    }
    result.steps += n;
    result.loss = n == 0 ? 0.0f : progress.loss / static_cast<float>(n);
  }
  result.clipped = progress.clipped;
  return result;
}

uint64_t Trainer::TailHash() const {
  Fnv1a hash;
  hash.Add(head_->parameters(), head_->parameter_count() * sizeof(float));
  return hash.value();
}

uint64_t Trainer::StoreHash() const {
  Fnv1a hash;
  hash.Add(store_, stored_ * head_->dim());
  hash.Add(labels_, stored_);
  hash.Add(bitmap_, (stored_ + 7) / 8);  // equal stores have equal hashes whatever the capacity
  return hash.value();
}

uint64_t Trainer::SettingsHash() const {
  Fnv1a hash;
  hash.Add(&settings_.learning_rate, sizeof settings_.learning_rate);
  hash.Add(&settings_.batch, sizeof settings_.batch);
  hash.Add(&settings_.clip_norm, sizeof settings_.clip_norm);
  hash.Add(&settings_.label_smoothing, sizeof settings_.label_smoothing);
  hash.Add(&settings_.seed, sizeof settings_.seed);
  return hash.value();
}

}  // namespace tinymia
