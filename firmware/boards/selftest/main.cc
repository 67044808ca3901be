// Checks a board without the rest of the firmware. Every received byte is echoed, except commands:
// 0x01 answers the ticks that known work takes, 0x02 the board's facts, 0x03 faults, 0x04 resets,
// 0x05 overflows the stack, 0x06 reads nothing until so many bytes are lost, 0x07 answers sum,
// difference, product and quotient of two floats, whether the first is less, and the first integer
// as a float, all as bits, 0x08 reads a word at an odd address: a fault or 0x55443322, 0x09 starts
// the program anew as a bootloader does that leaves SysTick on. Numbers are 32-bit, little endian.

#include <stdint.h>
#include <string.h>

#include "hal.h"
#ifdef __arm__
#include "core.h"
#endif

namespace {

namespace hal = tinymia::hal;

void Put(uint32_t value) {
  const uint8_t bytes[4] = {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8),
                            static_cast<uint8_t>(value >> 16), static_cast<uint8_t>(value >> 24)};
  hal::Write(bytes, sizeof(bytes));
}

// Two instructions a turn on a Cortex-M.
__attribute__((noinline)) uint32_t Work(uint32_t turns) {
  const uint32_t before = hal::Ticks();
#ifdef __arm__
  __asm volatile("1: subs %0, #1\nbne 1b" : "+r"(turns)::"cc");
#else
  for (volatile uint32_t i = turns; i != 0; i = i - 1) {
  }
#endif
  return hal::Ticks() - before;
}

__attribute__((noinline)) uint32_t Overflow(uint32_t depth) {
  volatile uint32_t frame[64];
  frame[0] = depth;
  return depth == 0 ? 0 : Overflow(depth - 1) + frame[0];
}

uint32_t Pull() {
  uint32_t value = 0;
  for (uint32_t have = 0; have < 4;) {
    uint8_t byte;
    if (hal::Read(&byte, 1) == 0) {
      hal::WaitForInput();
    } else {
      value |= static_cast<uint32_t>(byte) << (8 * have++);
    }
  }
  return value;
}

void PutFloat(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  Put(bits);
}

void Arithmetic() {
  const uint32_t bits[2] = {Pull(), Pull()};
  float x[2];
  memcpy(x, bits, sizeof(x));
  PutFloat(x[0] + x[1]);
  PutFloat(x[0] - x[1]);
  PutFloat(x[0] * x[1]);
  PutFloat(x[0] / x[1]);
  Put(x[0] < x[1] ? 1 : 0);
  PutFloat(static_cast<float>(static_cast<int32_t>(bits[0])));
}

uint32_t OddWord() {
  alignas(4) static const uint8_t bytes[8] = {0x11, 0x22, 0x33, 0x44, 0x55};
  uint32_t word;
#ifdef __arm__
  __asm volatile("ldr %0, [%1]" : "=l"(word) : "l"(bytes + 1) : "memory");
#else
  memcpy(&word, bytes + 1, sizeof(word));
#endif
  return word;
}

void HandOver() {
#ifdef __arm__
  namespace reg = tinymia::reg;
  const auto* vectors = reinterpret_cast<const uint32_t*>(reg::At(reg::kScbVtor));
  reg::At(reg::kSysTickReload) = 9999;
  reg::At(reg::kSysTickValue) = 0;
  reg::At(reg::kSysTickCtrl) = reg::kSysTickOn;
  __asm volatile("msr msp, %0\nbx %1" ::"r"(vectors[0]), "r"(vectors[1]) : "memory");
#endif
}

void Facts() {
  const hal::FaultRecord fault = hal::LastFault();
  const hal::Region bundle = hal::BundleRegion();
  const uint32_t facts[] = {static_cast<uint32_t>(hal::GetTickSource()),
                            hal::CoreClockHz(),
                            hal::StackSize(),
                            hal::StackHighWater(),
                            static_cast<uint32_t>(reinterpret_cast<uintptr_t>(hal::ArenaBase())),
                            hal::ArenaSize(),
                            static_cast<uint32_t>(reinterpret_cast<uintptr_t>(bundle.data)),
                            bundle.size,
                            hal::InputOverruns(),
                            fault.cause,
                            fault.pc,
                            fault.status};
  for (uint32_t fact : facts) Put(fact);
  hal::Write(hal::BuildId(), hal::kBuildIdSize);
}

}  // namespace

int main() {
  hal::Init();
  const uint8_t hello = 0;  // whoever waits knows by it that the board listens now
  hal::Write(&hello, 1);
  // Fill the arena: all of it must be RAM that nothing else uses.
  for (uint32_t i = 0; i < hal::ArenaSize(); ++i) hal::ArenaBase()[i] = 0xA5;
  for (;;) {
    uint8_t byte;
    if (hal::Read(&byte, 1) == 0) {
      hal::WaitForInput();
    } else if (byte == 1) {
      Put(Work(Pull()));
    } else if (byte == 2) {
      Facts();
    } else if (byte == 3) {
      __builtin_trap();
    } else if (byte == 4) {
      hal::Reset();
    } else if (byte == 5) {
      Put(Overflow(1000000));
    } else if (byte == 6) {
      for (const uint32_t lost = Pull(); hal::InputOverruns() < lost;) {
      }
    } else if (byte == 7) {
      Arithmetic();
    } else if (byte == 8) {
      Put(OddWord());
    } else if (byte == 9) {
      HandOver();
    } else {
      hal::Write(&byte, 1);
    }
  }
}
