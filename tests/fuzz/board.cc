#include "board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "bundle.h"
#include "crc32.h"
#include "hal.h"

namespace {

constexpr uint32_t kHz = 1000000;
constexpr uint32_t kAlign = 16;
uint32_t looks = 0;
const uint8_t kBuildId[tinymia::hal::kBuildIdSize] = {};

}  // namespace

namespace fuzz {

void Free::operator()(uint8_t* memory) const { free(memory); }

Memory Exactly(size_t size) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlign, size) != 0) abort();
  return Memory(static_cast<uint8_t*>(memory));
}

Memory CopyOf(const std::vector<uint8_t>& data) {
  Memory memory = Exactly(data.size());
  std::copy(data.begin(), data.end(), memory.get());
  return memory;
}

std::vector<uint8_t> Sealed(const uint8_t* data, size_t size) {
  constexpr size_t kHeader = 32, kTotalAt = 12, kCrcAt = 16;
  std::vector<uint8_t> bundle(data, data + size);
  if (size < kHeader) return bundle;
  const auto total = static_cast<uint32_t>(size);
  memcpy(bundle.data() + kTotalAt, &total, sizeof total);
  const uint32_t crc = tinymia::Crc32(bundle.data() + kHeader, total - kHeader);
  memcpy(bundle.data() + kCrcAt, &crc, sizeof crc);
  return bundle;
}

std::vector<uint8_t> ReadFile(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) {
    perror(path);
    exit(2);
  }
  std::vector<uint8_t> data;
  uint8_t part[4096];
  for (size_t size; (size = fread(part, 1, sizeof part, file)) > 0;) {
    data.insert(data.end(), part, part + size);
  }
  fclose(file);
  return data;
}

uint32_t Ask(tinymia::Session* session, tinymia::Type type, const std::vector<uint8_t>& payload,
             std::vector<uint8_t>* response) {
  const Memory request = CopyOf(payload);
  const Memory out = Exactly(tinymia::kMaxPayload);
  const uint32_t size =
      tinymia::Session::Execute(session, static_cast<uint8_t>(type), request.get(),
                                static_cast<uint32_t>(payload.size()), out.get());
  if (size == 0 || size > tinymia::kMaxPayload) abort();
  if (response != nullptr) response->assign(out.get(), out.get() + size);
  return out.get()[0];
}

void ResetClock() { looks = 0; }

}  // namespace fuzz

namespace tinymia::hal {

void Write(const uint8_t* bytes, uint32_t size) {
  volatile uint8_t sink = 0;
  for (uint32_t i = 0; i < size; ++i) sink = bytes[i];
  (void)sink;
}
uint32_t InputOverruns() { return 0; }
bool Entropy(uint32_t*, uint32_t) { return false; }
uint32_t Ticks() { return ++looks * (kHz / 400); }
TickSource GetTickSource() { return TickSource::kHost; }
uint32_t TicksPerSecond() { return kHz; }
uint32_t CoreClockHz() { return 0; }
uint32_t StackSize() { return 0; }
uint32_t StackHighWater() { return 0; }
const uint8_t* BuildId() { return kBuildId; }
const char* BoardName() { return "fuzz"; }
FaultRecord LastFault() { return {}; }

}  // namespace tinymia::hal
