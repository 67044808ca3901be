// Board layer on Arduino's API: the serial line is the chip's own USB port. What that API does not
// have is in another file for each core, mbed.cc.

#include "hal.h"

#include <Arduino.h>

#include "chip.h"

namespace tinymia::hal {
namespace {

constexpr uint32_t kPacketBytes = 64;  // of USB at full speed

void Send(const uint8_t* src, uint32_t size) {
  while (size > 0) {
    const uint32_t taken = static_cast<uint32_t>(Serial.write(src, size));
    // Nobody has the port open (DTR is off), so nobody waits for the rest.
    if (taken == 0 && !Serial) return;
    src += taken;
    size -= taken;
  }
}

}  // namespace

void Init() {
  StartChip();
  Serial.begin(TINYMIA_BAUD);  // USB has no rate of its own
}

// USB holds the host back while the core's buffer is full, so nothing gets lost during a
// computation.
uint32_t Read(uint8_t* dst, uint32_t max) {
  uint32_t count = 0;
  while (count < max && Serial.available() > 0) dst[count++] = static_cast<uint8_t>(Serial.read());
  return count;
}

// A host hands bytes to its programs when a packet is not full, and Arduino's Mbed core sends no
// empty one behind a full one: the last byte then makes a packet of its own.
void Write(const uint8_t* src, uint32_t size) {
  const uint32_t last = size % kPacketBytes == 0 && size > 0 ? 1 : 0;
  Send(src, size - last);
  Send(src + size - last, last);
}

void WaitForInput() { yield(); }

uint32_t InputOverruns() { return 0; }

const char* BoardName() { return TINYMIA_BOARD; }

}  // namespace tinymia::hal
