// What is fuzzed; each takes any bytes.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fuzz {

void Loader(const uint8_t* data, size_t size);  // a .tflite file
void Bundle(const uint8_t* data, size_t size);  // a bundle, whose checksum is mended
void Line(const uint8_t* data, size_t size);    // what comes over the line, as frames or raw
void Text(const uint8_t* data, size_t size);    // text commands

}  // namespace fuzz
