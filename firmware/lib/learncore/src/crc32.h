// CRC-32/ISO-HDLC (the one of zlib), for bundles and frames.
#pragma once

#include <stdint.h>

namespace tinymia {

// By half bytes: a table of whole ones would take 1 KB of flash and save four instructions a byte.
struct Crc32Table {
  uint32_t entry[16];
  constexpr Crc32Table() : entry() {
    for (uint32_t i = 0; i < 16; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 4; ++bit) c = (c & 1u) != 0 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      entry[i] = c;
    }
  }
};

inline constexpr Crc32Table kCrc32Table;

inline uint32_t Crc32(const uint8_t* data, uint32_t size, uint32_t previous = 0) {
  uint32_t c = ~previous;
  for (uint32_t i = 0; i < size; ++i) {
    c = c ^ data[i];
    c = kCrc32Table.entry[c & 0xF] ^ (c >> 4);
    c = kCrc32Table.entry[c & 0xF] ^ (c >> 4);
  }
  return ~c;
}

// FNV-1a, 64 bit: names the state of the tail, the store and the settings on the wire.
class Fnv1a {
 public:
  void Add(const void* data, uint32_t size) {
    const uint8_t* bytes = static_cast<const uint8_t*>(data);
    for (uint32_t i = 0; i < size; ++i) hash_ = (hash_ ^ bytes[i]) * 0x100000001B3ull;
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xCBF29CE484222325ull;
};

}  // namespace tinymia
