#ifndef TINYMIA_BOARDS_ARDUINO_STANDIN_ARDUINO_H_
#define TINYMIA_BOARDS_ARDUINO_STANDIN_ARDUINO_H_

#include <stddef.h>
#include <stdint.h>

// As much of Arduino's API as boards/arduino/hal.cc uses, with the manners of the Mbed core's USB
// port.
class UsbSerial {
 public:
  void begin(unsigned long baud);
  int available();
  int read();
  size_t write(const uint8_t* src, size_t size);
  explicit operator bool();
};
extern UsbSerial Serial;

void yield();

extern "C" void setup();
extern "C" void loop();

#endif  // TINYMIA_BOARDS_ARDUINO_STANDIN_ARDUINO_H_
