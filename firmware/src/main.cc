// The firmware: reads frames from the serial line and serves them, for ever.

#include "hal.h"
#include "link.h"
#include "session.h"

int main() {
  using tinymia::Link;
  using tinymia::Session;
  namespace hal = tinymia::hal;

  hal::Init();
  static Session session(hal::ArenaBase(), hal::ArenaSize());
  static Link link(&Session::Execute, &session, &hal::Write);
  const hal::Region region = hal::BundleRegion();
  session.Load(region.data, region.size);

  uint8_t bytes[64];
  for (;;) {
    const uint32_t size = hal::Read(bytes, sizeof bytes);
    if (size == 0) {
      hal::WaitForInput();
    } else {
      link.Feed(bytes, size);
    }
  }
}
