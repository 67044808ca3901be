// One static block of memory, handed out once when a bundle is loaded. There is no heap.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace tinymia {

class Arena {
 public:
  Arena(uint8_t* base, uint32_t size) : base_(base), size_(size) {}

  // Returns nullptr when the block is full, but keeps counting: the host is told both numbers.
  void* Alloc(uint32_t bytes, uint32_t align = 8) {
    const uint64_t start = (static_cast<uint64_t>(used_) + align - 1) / align * align;
    const uint64_t end = start + bytes;
    used_ = end > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(end);
    return end <= size_ ? base_ + start : nullptr;
  }

  template <typename T>
  T* AllocArray(uint32_t count) {
    const uint64_t bytes = static_cast<uint64_t>(count) * sizeof(T);
    return static_cast<T*>(Alloc(bytes > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(bytes),
                                 alignof(T) > 8 ? alignof(T) : 8));
  }

  // Of what holds pointers: kBytes each, which are enough where these have 64 bits, so that the
  // host knows of a board to the byte what there is room for.
  template <typename T, uint32_t kBytes>
  T* AllocPointers(uint32_t count) {
    static_assert(sizeof(T) <= kBytes, "what the board reserves is enough for the host");
    static_assert(sizeof(void*) < 8 || sizeof(T) > kBytes - 8, "and no more than that");
    const uint64_t bytes = static_cast<uint64_t>(count) * kBytes;
    return static_cast<T*>(Alloc(bytes > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(bytes),
                                 alignof(T) > 8 ? alignof(T) : 8));
  }

  uint8_t* base() const { return base_; }
  uint32_t used() const { return used_; }
  uint32_t size() const { return size_; }
  void Reset() { used_ = 0; }

 private:
  uint8_t* base_;
  uint32_t size_;
  uint32_t used_ = 0;
};

}  // namespace tinymia
