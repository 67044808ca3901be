// A board inside this process: the firmware's own session and link over a board layer (hal.h) of
// its own. Many can live in one process; each is used by one thread at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "link.h"
#include "session.h"

namespace twin {

struct AlignedFree {
  void operator()(uint8_t* memory) const;
};
using AlignedBytes = std::unique_ptr<uint8_t, AlignedFree>;
// Zeroed, aligned to 64 bytes.
AlignedBytes AllocateAligned(size_t size);

// What the interpreter says of a model: the protocol's status with its two numbers; then, of one
// that it takes, how many inputs and outputs there are, the tensor of the first that is not int8
// (or kNowhere), and how many bytes of arena it needs.
struct ModelLoad {
  uint32_t status, a, b;
  uint32_t inputs, outputs, odd_end, arena;
};
ModelLoad LoadModel(const uint8_t* model, uint32_t size);

class Board {
 public:
  Board(const std::string& bundle, uint32_t arena_size);

  // What the host sends; requests are executed before it returns. `look` is called about ten times
  // a second; where it throws, the board is left in the middle of its work and takes nothing more:
  // std::runtime_error from then on.
  void Write(const uint8_t* bytes, size_t size, const std::function<void()>& look);
  // At most `max` bytes of what the board has sent.
  std::string Read(size_t max);

  uint8_t* arena() { return arena_.get(); }
  uint32_t arena_size() const { return arena_size_; }
  const uint8_t* flash() const { return flash_.get(); }
  uint32_t flash_size() const { return flash_size_; }
  void Send(const uint8_t* bytes, uint32_t size);
  // The time; every piece of work asks for it again and again.
  std::chrono::nanoseconds Now();

 private:
  std::mutex mutex_;
  uint32_t arena_size_;
  uint32_t flash_size_;
  AlignedBytes arena_;
  AlignedBytes flash_;
  tinymia::Session session_;
  tinymia::Link link_;
  std::vector<uint8_t> sent_;
  const std::function<void()>* look_ = nullptr;  // of the last Write
  std::chrono::nanoseconds looked_{0};
  bool abandoned_ = false;  // or at work
};

}  // namespace twin
