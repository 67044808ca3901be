// Arduino's board layer on this machine, for tests: its USB port is a pseudo-terminal, which the
// link that TINYMIA_PORT_LINK names points to. Memory, time and the bundle are the native build's.

// Of the native board layer, all but what boards/arduino/hal.cc is.
#define Init NativeInit
#define Read NativeRead
#define Write NativeWrite
#define WaitForInput NativeWaitForInput
#define InputOverruns NativeInputOverruns
#define BoardName NativeBoardName
#include "../native/hal.cc"
#undef Init

#include <Arduino.h>
#include <termios.h>

#include "../arduino/chip.h"

namespace {

constexpr size_t kPacket = 64;
constexpr size_t kRing = 256;

int master = -1;
uint8_t ring[kRing];
size_t ring_first, ring_count;

// What a host's driver waits with: it asks for two packets, and hands them on when it has got both,
// or one that is not full.
uint8_t asked[2 * kPacket];
size_t asked_count;

void HandOn() {
  for (size_t done = 0; done < asked_count;) {
    const ssize_t count = write(master, asked + done, asked_count - done);
    if (count > 0) done += static_cast<size_t>(count);
    if (count <= 0 && !Serial) break;
  }
  asked_count = 0;
}

void Packet(const uint8_t* src, size_t size) {
  memcpy(asked + asked_count, src, size);
  asked_count += size;
  if (size < kPacket || asked_count == sizeof asked) HandOn();
}

}  // namespace

UsbSerial Serial;

void UsbSerial::begin(unsigned long) {
  master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) tinymia::hal::Die("pty");
  const char* name = ptsname(master);
  const char* link = getenv("TINYMIA_PORT_LINK");
  const int slave = open(name, O_RDWR | O_NOCTTY);
  termios raw;
  tcgetattr(slave, &raw);
  cfmakeraw(&raw);
  tcsetattr(slave, TCSANOW, &raw);
  close(slave);  // from now on the terminal says that nobody has it open
  if (link == nullptr || symlink(name, link) != 0) tinymia::hal::Die("TINYMIA_PORT_LINK");
}

UsbSerial::operator bool() {
  pollfd port = {master, 0, 0};
  return poll(&port, 1, 0) >= 0 && (port.revents & POLLHUP) == 0;
}

int UsbSerial::available() {
  while (ring_count < kRing) {
    const size_t end = (ring_first + ring_count) % kRing;
    if (::read(master, &ring[end], 1) != 1) break;
    ++ring_count;
  }
  return static_cast<int>(ring_count);
}

int UsbSerial::read() {
  if (ring_count == 0) return -1;
  const uint8_t byte = ring[ring_first];
  ring_first = (ring_first + 1) % kRing;
  --ring_count;
  return byte;
}

// Takes nothing while nobody has the port open, and not always all.
size_t UsbSerial::write(const uint8_t* src, size_t size) {
  if (!*this) return 0;
  const size_t taken = size < 5 * kPacket ? size : 5 * kPacket;
  for (size_t done = 0; done < taken; done += kPacket) {
    Packet(src + done, taken - done < kPacket ? taken - done : kPacket);
  }
  return taken;
}

void yield() { usleep(50); }

void tinymia::StartChip() { hal::NativeInit(); }

int main() {
  setup();
  for (;;) loop();
}
