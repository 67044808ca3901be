// Consistent overhead byte stuffing (Cheshire and Baker 1999): frames without a zero byte, ended by
// one.
#pragma once

#include <stdint.h>

namespace tinymia {

// Bytes that `size` bytes take at most, with the delimiter.
constexpr uint32_t CobsBound(uint32_t size) { return size + size / 254 + 2; }

// Writes the encoded frame and its delimiter to `out` (CobsBound(size) bytes); returns the length.
inline uint32_t CobsEncode(const uint8_t* data, uint32_t size, uint8_t* out) {
  uint32_t at = 1;
  uint32_t code_at = 0;
  uint8_t code = 1;
  for (uint32_t i = 0; i < size; ++i) {
    if (data[i] != 0) {
      out[at++] = data[i];
      ++code;
    }
    if (data[i] == 0 || (code == 0xFF && i + 1 < size)) {
      out[code_at] = code;
      code_at = at++;
      code = 1;
    }
  }
  out[code_at] = code;
  out[at++] = 0;
  return at;
}

// Decodes a stream byte by byte into a fixed buffer; a frame that is too long or stops inside a
// block is marked bad.
class CobsDecoder {
 public:
  CobsDecoder(uint8_t* buffer, uint32_t room) : buffer_(buffer), room_(room) {}

  // True when `byte` was a delimiter: then size() and bad() describe the frame until the next call.
  bool Push(uint8_t byte) {
    if (ended_) Restart();
    if (byte == 0) {
      bad_ = bad_ || left_ != 0;
      ended_ = true;
      return true;
    }
    if (left_ == 0) {
      if (implied_zero_) Store(0);
      left_ = static_cast<uint8_t>(byte - 1);
      implied_zero_ = byte != 0xFF;
    } else {
      Store(byte);
      --left_;
    }
    return false;
  }

  uint32_t size() const { return size_; }
  bool bad() const { return bad_; }

  // Begins a new frame.
  void Restart() {
    size_ = 0;
    left_ = 0;
    implied_zero_ = false;
    bad_ = false;
    ended_ = false;
  }

 private:
  void Store(uint8_t byte) {
    if (size_ < room_) {
      buffer_[size_++] = byte;
    } else {
      bad_ = true;
    }
  }

  uint8_t* buffer_;
  uint32_t room_;
  uint32_t size_ = 0;
  uint8_t left_ = 0;
  bool implied_zero_ = false;
  bool bad_ = false;
  bool ended_ = false;
};

}  // namespace tinymia
