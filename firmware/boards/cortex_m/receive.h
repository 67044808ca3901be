#ifndef TINYMIA_BOARDS_CORTEX_M_RECEIVE_H_
#define TINYMIA_BOARDS_CORTEX_M_RECEIVE_H_

#include <stdint.h>

namespace tinymia {

constexpr uint32_t kRingSize = 8192;
static_assert((kRingSize & (kRingSize - 1)) == 0, "the ring needs a power of two");

// What the receive interrupt hands to hal::Read().
struct Received {
  uint8_t ring[kRingSize + 1];  // the last one takes what finds no room
  volatile uint32_t head;       // written by the interrupt only
  volatile uint32_t tail;       // written by Read() only
  volatile uint32_t overruns;
};
extern Received received;

// For the interrupt: keeps `byte` when `valid` is 1 (else 0) and there is room. No branch, so that
// the interrupt always takes the same number of instructions.
inline void Receive(uint32_t valid, uint8_t byte) {
  const uint32_t head = received.head;
  const uint32_t room = (head - received.tail - kRingSize) >> 31;
  const uint32_t kept = valid & room;
  received.ring[((head & (kRingSize - 1)) & (0u - kept)) | (kRingSize & (kept - 1))] = byte;
  received.head = head + kept;
  received.overruns = received.overruns + (valid - kept);
}

// For the interrupt: so many bytes were lost before they got here.
inline void CountLost(uint32_t bytes) { received.overruns = received.overruns + bytes; }

}  // namespace tinymia

#endif  // TINYMIA_BOARDS_CORTEX_M_RECEIVE_H_
