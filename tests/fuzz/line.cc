// Whatever comes over the line: the board stays up, and answers the next greeting.
//
// The first byte says how the rest is sent: 0 as it is; else as frames of a session, cut at each
// u8 type, u16 size of the payload, payload; the type's upper bits say what becomes of it.
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "cobs.h"
#include "crc32.h"
#include "hal.h"
#include "link.h"
#include "targets.h"

namespace fuzz {
namespace {

using tinymia::Link;
using tinymia::Session;
using tinymia::Type;

constexpr uint32_t kArena = 1 << 15;
constexpr uint8_t kSession = 7;
uint32_t sent = 0;
Link* board = nullptr;

void Send(const uint8_t* bytes, uint32_t size) {
  tinymia::hal::Write(bytes, size);
  ++sent;
}

std::vector<uint8_t> Frame(uint8_t type, uint16_t seq, const std::vector<uint8_t>& payload) {
  std::vector<uint8_t> raw = {type, kSession, static_cast<uint8_t>(seq),
                              static_cast<uint8_t>(seq >> 8)};
  raw.insert(raw.end(), payload.begin(), payload.end());
  const uint32_t crc = tinymia::Crc32(raw.data(), static_cast<uint32_t>(raw.size()));
  for (int i = 0; i < 4; ++i) raw.push_back(static_cast<uint8_t>(crc >> 8 * i));
  std::vector<uint8_t> out(tinymia::CobsBound(static_cast<uint32_t>(raw.size())));
  out.resize(tinymia::CobsEncode(raw.data(), static_cast<uint32_t>(raw.size()), out.data()));
  return out;
}

std::vector<uint8_t> Greeting(uint32_t nonce) {
  tinymia::HelloRequest hello = {};
  hello.magic = tinymia::kProtocolMagic;
  hello.nonce = nonce;
  std::vector<uint8_t> payload(tinymia::HelloRequest::kFixed);
  hello.Write(payload.data());
  return Frame(static_cast<uint8_t>(Type::kHello), 0, payload);
}

void Feed(const std::vector<uint8_t>& bytes) {
  const Memory exact = CopyOf(bytes);
  board->Feed(exact.get(), static_cast<uint32_t>(bytes.size()));
}

}  // namespace

void Line(const uint8_t* data, size_t size) {
  static const std::vector<uint8_t> bundle = ReadFile(getenv("TINYMIA_FUZZ_BUNDLE"));
  if (size < 1) return;
  ResetClock();
  const Memory flash = CopyOf(bundle);
  const Memory memory = Exactly(kArena);
  Session session(memory.get(), kArena);
  session.Load(flash.get(), static_cast<uint32_t>(bundle.size()));
  Link link(&Session::Execute, &session, &Send);
  board = &link;
  session.OnBusy([] { board->SayBusy(); });
  Feed(Greeting(1));
  const bool raw = data[0] == 0;
  ++data;
  --size;
  if (raw) {
    Feed({data, data + size});
  } else {
    uint16_t seq = 0;
    while (size >= 3) {
      const uint8_t type = data[0];
      const size_t most = size - 3;
      const size_t wanted = data[1] | static_cast<size_t>(data[2]) << 8;
      const size_t length = wanted < most ? wanted : most;
      std::vector<uint8_t> payload(data + 3, data + 3 + length);
      data += 3 + length;
      size -= 3 + length;
      // A request for thousands of epochs is good work, but takes its time.
      if ((type & 0x1F) == static_cast<uint8_t>(Type::kTrain) && payload.size() >= 6) {
        payload[4] &= 1;
        payload[5] = 0;
      }
      // It comes as it should, behind one that is lost, twice, or in place of the one before.
      const uint8_t fate = type >> 5;
      if (fate == 1) ++seq;
      Feed(Frame(type & 0x1F, seq, payload));
      if (fate == 2) Feed(Frame(type & 0x1F, seq, payload));
      if (fate != 3) ++seq;
    }
  }
  const uint8_t delimiter = 0;
  Feed({delimiter});
  sent = 0;
  Feed(Greeting(2));
  if (sent != 1) abort();  // it must have answered
}

}  // namespace fuzz
