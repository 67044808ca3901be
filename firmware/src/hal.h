#ifndef TINYMIA_HAL_H_
#define TINYMIA_HAL_H_

#include <stdint.h>

// What the firmware needs from a board. Implemented in boards/<family>/.
namespace tinymia::hal {

// Clock, serial port (8N1), tick counter. Call once, first; from then on the board listens, and
// what it sends first tells the host so.
void Init();

// --- serial line ---

// Takes up to `max` received bytes; never blocks. Returns how many.
uint32_t Read(uint8_t* dst, uint32_t max);

// Sends all bytes; returns when the last one is handed to the transmitter.
void Write(const uint8_t* src, uint32_t size);

// Sleeps until Read() has something to give. May return early.
void WaitForInput();

// Bytes lost so far: the receive ring was full or the hardware overran.
uint32_t InputOverruns();

// --- cost ---

enum class TickSource : uint8_t {
  kCycles = 0,  // core clock cycles (DWT)
  kTimer = 1,   // timer ticks; in QEMU with -icount shift=0 exactly one an instruction
  kHost = 2,    // nanoseconds of the host (native build)
};

// Free-running; differences are modulo 2^32. Time spent in the receive interrupt is left out, so
// that traffic on the line does not change what a computation costs.
uint32_t Ticks();
TickSource GetTickSource();
uint32_t TicksPerSecond();
uint32_t CoreClockHz();

// --- memory ---

uint32_t StackSize();
uint32_t StackHighWater();  // bytes ever used
uint8_t* ArenaBase();       // 16-byte aligned
uint32_t ArenaSize();

struct Region {
  const uint8_t* data;  // 16-byte aligned
  uint32_t size;
};
// The flash that is reserved for a bundle; what lies there may be no bundle at all.
Region BundleRegion();

// --- randomness ---

// Words from the chip's generator of true random numbers; false when it fails. (Release builds.)
bool Entropy(uint32_t* words, uint32_t count);

// --- identity and faults ---

constexpr uint32_t kBuildIdSize = 20;
const uint8_t* BuildId();
const char* BoardName();

// Why the board restarted on its own; cause 0 when it did not.
struct FaultRecord {
  uint32_t cause;   // exception number (3 hard fault, 4 memory, 5 bus, 6 usage, 2 NMI, ...)
  uint32_t pc;      // of the faulting instruction, 0 when unknown
  uint32_t status;  // CFSR
};
FaultRecord LastFault();

[[noreturn]] void Reset();

}  // namespace tinymia::hal

#endif  // TINYMIA_HAL_H_
