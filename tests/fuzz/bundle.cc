// A bundle that a board takes must be stored for, trained and asked from every layer on.
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "hal.h"
#include "targets.h"

namespace fuzz {
namespace {

using tinymia::Session;
using tinymia::Type;

constexpr uint32_t kArena = 1 << 15;
constexpr uint32_t kLargestWindow = 2048;  // a longer one takes its time
constexpr uint8_t kOk = 0;
constexpr uint32_t kMostLayers = 4;

template <typename Message>
std::vector<uint8_t> Packed(const Message& message, const std::vector<uint8_t>& behind = {}) {
  std::vector<uint8_t> out(Message::kFixed + sizeof message);
  message.Write(out.data());
  out.resize(Message::kFixed);
  out.insert(out.end(), behind.begin(), behind.end());
  return out;
}

// The window of `bytes` is sent as the protocol has it: whole or in parts.
bool Put(Session* session, uint32_t slot, uint32_t bytes) {
  tinymia::PutRequest put = {};
  put.slot = static_cast<uint16_t>(slot);
  put.count = 1;
  std::vector<uint8_t> behind(1, 0);
  if (bytes + 1 + tinymia::PutRequest::kFixed <= tinymia::kMaxPayload) {
    behind.resize(1 + bytes, static_cast<uint8_t>(slot * 37));
  } else {
    for (uint32_t at = 0; at < bytes; at += 1000) {
      tinymia::PartRequest part = {};
      part.offset = at;
      const uint32_t rest = bytes - at < 1000 ? bytes - at : 1000;
      if (Ask(session, Type::kPart, Packed(part, std::vector<uint8_t>(rest, 9)), nullptr) != kOk) {
        abort();
      }
    }
  }
  return Ask(session, Type::kPut, Packed(put, behind), nullptr) == kOk;
}

void Train(Session* session, bool augmented) {
  tinymia::TrainSettings settings;
  tinymia::BeginRequest begin = {};
  begin.learning_rate = 0.1f;
  begin.batch = 2;
  begin.clip_norm = 1.0f;
  begin.momentum = settings.momentum;
  begin.beta2 = settings.beta2;
  begin.optimizer = augmented ? 2 : 0;
  begin.jitter = augmented ? 0.1f : 0.0f;
  begin.shift = augmented ? 3 : 0;
  if (Ask(session, Type::kBegin, Packed(begin), nullptr) != kOk) return;
  tinymia::TrainRequest train = {};
  train.epochs = 2;
  Ask(session, Type::kTrain, Packed(train), nullptr);
  tinymia::TailRequest tail = {};
  tail.count = 8;
  Ask(session, Type::kTail, Packed(tail), nullptr);
}

}  // namespace

void Bundle(const uint8_t* data, size_t size) {
  ResetClock();
  const std::vector<uint8_t> sealed = Sealed(data, size);
  const Memory flash = CopyOf(sealed);
  const Memory memory = Exactly(kArena);
  Session session(memory.get(), kArena);
  session.Load(flash.get(), static_cast<uint32_t>(size));
  std::vector<uint8_t> said;
  if (Ask(&session, Type::kInfo, {}, &said) != kOk) return;
  tinymia::InfoResponse info;
  if (!info.Read(said.data() + 1, static_cast<uint32_t>(said.size()) - 1)) abort();
  const uint32_t window = info.input_bytes;
  if (window > kLargestWindow) return;
  tinymia::AskRequest ask = {};
  ask.levels = 10;
  for (uint8_t policy = 0; policy < 4 && window <= 1000; ++policy) {
    ask.policy = policy;
    Ask(&session, Type::kAsk, Packed(ask, std::vector<uint8_t>(window, 3)), nullptr);
  }
  for (uint32_t layer = 0; layer < info.layers && layer < kMostLayers; ++layer) {
    for (uint8_t raw = 0; raw < 2; ++raw) {
      tinymia::LayoutRequest layout = {};
      layout.first_layer = static_cast<uint8_t>(layer);
      layout.raw = raw;
      if (Ask(&session, Type::kLayout, Packed(layout), nullptr) != kOk) continue;
      bool stored = true;
      for (uint32_t slot = 0; slot < 3; ++slot) stored = Put(&session, slot, window) && stored;
      if (!stored) continue;
      Ask(&session, Type::kSelect, {0x05}, nullptr);
      Train(&session, raw != 0);
      tinymia::QueryRequest query = {};
      query.levels = 10;
      query.policy = raw != 0 ? 2 : 0;
      Ask(&session, Type::kQuery, Packed(query, {0, 0, 1, 0, 2, 0}), nullptr);
      Ask(&session, Type::kState, {}, nullptr);
    }
  }
}

}  // namespace fuzz
