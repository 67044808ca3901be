#include <stdint.h>

#include "hal.h"

int main() {
  tinymia::hal::Init();
  uint8_t buffer[256];
  for (;;) {
    const uint32_t n = tinymia::hal::Read(buffer, sizeof(buffer));
    if (n == 0) {
      tinymia::hal::WaitForInput();
    } else {
      tinymia::hal::Write(buffer, n);
    }
  }
}
