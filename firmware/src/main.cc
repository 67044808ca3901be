// The firmware: serves frames and the text commands of MLPerf Tiny on one serial line, for ever. A
// release build serves frames only: the commands give every probability. So does an image for one
// bundle: they would be a tenth of it.

#include "chosen.h"
#include "hal.h"
#include "link.h"
#include "mlperf.h"
#include "release.h"
#include "session.h"

namespace {

tinymia::TextCommands* commands;
tinymia::Link* line;

constexpr uint8_t kDelimiter = 0;
constexpr bool kText = tinymia::kTextCommands && !tinymia::kRelease;

// A frame that follows text starts with a delimiter, so that the text is no part of it.
void SendFrame(const uint8_t* bytes, uint32_t size) {
  if (kText && commands->TakeSpoken()) tinymia::hal::Write(&kDelimiter, 1);
  tinymia::hal::Write(bytes, size);
}

[[noreturn]] void Serve() {
  using tinymia::Link;
  using tinymia::Session;
  using tinymia::TextCommands;
  namespace hal = tinymia::hal;

  hal::Init();
  static Session session(hal::ArenaBase(), hal::ArenaSize());
  static Link link(&Session::Execute, &session, &SendFrame);
  if constexpr (kText) {
    static TextCommands text(&session);
    commands = &text;
  }
  line = &link;
  session.OnBusy([] { line->SayBusy(); });
  const hal::Region region = hal::BundleRegion();
  session.Load(region.data, region.size);
  if constexpr (kText) {
    commands->Greet();
  } else {
    hal::Write(&kDelimiter, 1);  // it listens
  }

  uint8_t bytes[64];
  for (;;) {
    const uint32_t size = hal::Read(bytes, sizeof bytes);
    if (size == 0) hal::WaitForInput();
    for (uint32_t i = 0; i < size; ++i) {
      link.Feed(&bytes[i], 1);
      if constexpr (kText) {
        if (commands->Push(bytes[i], link.session())) link.Forget();
      }
    }
  }
}

}  // namespace

#ifdef ARDUINO
// The framework has the main program.
extern "C" void setup() { Serve(); }
extern "C" void loop() {}
#else
int main() { Serve(); }
#endif
