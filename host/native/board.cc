#include "board.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <stdexcept>

#include "hal.h"
#include "interpreter.h"
#include "stamp.h"

namespace twin {
namespace {

// The board that this thread runs; the firmware knows of one only.
thread_local Board* running = nullptr;

struct Running {
  explicit Running(Board* board) : before(running) { running = board; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() { running = before; }
  Board* before;
};

constexpr uint32_t kLeastFlash = 64;
constexpr std::chrono::milliseconds kLookEvery{100};

std::chrono::nanoseconds Clock() { return std::chrono::steady_clock::now().time_since_epoch(); }

void SendFromRunning(const uint8_t* bytes, uint32_t size) { running->Send(bytes, size); }

}  // namespace

void AlignedFree::operator()(uint8_t* memory) const { free(memory); }

AlignedBytes AllocateAligned(size_t size) {
  constexpr size_t kAlign = 64;
  const size_t rounded = std::max(kAlign, (size + kAlign - 1) / kAlign * kAlign);
  AlignedBytes memory(static_cast<uint8_t*>(aligned_alloc(kAlign, rounded)));
  if (memory == nullptr) throw std::bad_alloc();
  memset(memory.get(), 0, rounded);
  return memory;
}

ModelLoad LoadModel(const uint8_t* model, uint32_t size) {
  constexpr uint64_t kMost = 1u << 30;
  const AlignedBytes file = AllocateAligned(size);
  memcpy(file.get(), model, size);
  uint64_t room = 256 * 1024;
  while (true) {
    const AlignedBytes memory = AllocateAligned(room);
    tinymia::Arena arena(memory.get(), static_cast<uint32_t>(room));
    tinymia::Interpreter interpreter;
    const tinymia::Status status = interpreter.Load(file.get(), size, &arena);
    if (status == tinymia::Status::kArenaTooSmall && room < kMost) {
      room = std::min(kMost, std::max<uint64_t>(arena.used(), 2 * room));
      continue;
    }
    const tinymia::Refusal& refusal = interpreter.refusal();
    return {static_cast<uint32_t>(status),
            refusal.a,
            refusal.b,
            interpreter.input_count(),
            interpreter.output_count(),
            interpreter.odd_end(),
            arena.used()};
  }
}

Board::Board(const std::string& bundle, uint32_t arena_size)
    : arena_size_(arena_size),
      flash_size_(std::max(kLeastFlash, static_cast<uint32_t>(bundle.size()))),
      arena_(AllocateAligned(arena_size)),
      flash_(AllocateAligned(flash_size_)),
      session_(arena_.get(), arena_size),
      link_(&tinymia::Session::Execute, &session_, &SendFromRunning) {
  memset(flash_.get(), 0xFF, flash_size_);
  memcpy(flash_.get(), bundle.data(), bundle.size());
  const Running guard(this);
  session_.Load(flash_.get(), flash_size_);
}

void Board::Write(const uint8_t* bytes, size_t size, const std::function<void()>& look) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (abandoned_) throw std::runtime_error("the board was interrupted in the middle of its work");
  const Running guard(this);
  look_ = &look;
  looked_ = Clock();
  abandoned_ = true;  // unless it comes to an end
  link_.Feed(bytes, static_cast<uint32_t>(size));
  abandoned_ = false;
}

std::chrono::nanoseconds Board::Now() {
  const std::chrono::nanoseconds now = Clock();
  if (abandoned_ && now - looked_ > kLookEvery) {
    looked_ = now;
    (*look_)();
  }
  return now;
}

std::string Board::Read(size_t max) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t size = std::min(max, sent_.size());
  std::string out(sent_.begin(), sent_.begin() + static_cast<ptrdiff_t>(size));
  sent_.erase(sent_.begin(), sent_.begin() + static_cast<ptrdiff_t>(size));
  return out;
}

void Board::Send(const uint8_t* bytes, uint32_t size) {
  sent_.insert(sent_.end(), bytes, bytes + size);
}

}  // namespace twin

// The board layer. What only a whole image uses (the line, a reset) is not there: boards of this
// process are fed by Write and never fault on their own.
namespace tinymia::hal {

uint32_t InputOverruns() { return 0; }

// Audits only: what is drawn comes from the seed.
bool Entropy(uint32_t*, uint32_t) { return false; }

uint32_t Ticks() { return static_cast<uint32_t>(twin::running->Now().count()); }

TickSource GetTickSource() { return TickSource::kHost; }
uint32_t TicksPerSecond() { return 1000000000; }

uint32_t CoreClockHz() { return 0; }
uint32_t StackSize() { return 0; }
uint32_t StackHighWater() { return 0; }
uint8_t* ArenaBase() { return twin::running->arena(); }
uint32_t ArenaSize() { return twin::running->arena_size(); }
Region BundleRegion() { return {twin::running->flash(), twin::running->flash_size()}; }
const uint8_t* BuildId() { return twin::kStampBytes; }
const char* BoardName() { return "twin"; }
FaultRecord LastFault() { return {}; }

}  // namespace tinymia::hal
