// A chip as far as start-up sees it: registers in memory, and rules by which the hardware answers.
// The board layer's files are compiled with it; tests/chips.py leaves their assembly out.
//
// Arguments: "ADDRESS=VALUE" is what a register holds at reset, "A&MASK=VALUE:B&MASK=VALUE" sets
// the second one's bits while the first one's are as said; hexadecimal. Prints each change of a
// register in its order, then what the board layer tells of itself.

#undef __asm
#undef volatile

#include <stdio.h>

#include <map>
#include <vector>

#include "hal.h"
#include "registers.h"

extern "C" {
uint32_t tinymia_stack_bottom[1];
__attribute__((weak)) void SupplyHandler();
void ResetHandler() { tinymia::hal::Init(); }
}

namespace tinymia {
namespace {

struct Bits {
  uint32_t address, mask, value;
};
struct Rule {
  Bits when, then;
};

std::map<uint32_t, uint32_t> registers, reported;
std::vector<Rule> rules;

void Report() {
  for (const auto& [address, value] : registers) {
    uint32_t& known = reported[address];
    if (known != value && address != reg::kDwtCycCnt) printf("%08x %08x\n", address, value);
    known = value;
  }
}

void React() {
  Report();
  for (const auto& [when, then] : rules) {
    if ((registers[when.address] & when.mask) != when.value) continue;
    registers[then.address] = (registers[then.address] & ~then.mask) | then.value;
  }
#ifdef TINYMIA_DCACHE
  // The M7's counter is locked: until then no write gets through (Armv7-M manual D1.1).
  if (registers[0xE0001FB0] != 0xC5ACCE55) registers[0xE0001000] = 0;
#endif
  Report();
}

}  // namespace

volatile uint32_t& reg::At(uint32_t address) {
  React();
  const bool counts = (registers[0xE000EDFC] >> 24 & registers[0xE0001000] & 1) != 0;
  if (address == 0xE0001004 && counts) ++registers[address];
  return registers[address];
}

}  // namespace tinymia

int main(int argc, char** argv) {
  using namespace tinymia;
  for (int i = 1; i < argc; ++i) {
    Bits a, b;
    if (sscanf(argv[i], "%x&%x=%x:%x&%x=%x", &a.address, &a.mask, &a.value, &b.address, &b.mask,
               &b.value) == 6) {
      rules.push_back({a, b});
    } else if (sscanf(argv[i], "%x=%x", &a.address, &a.value) == 2) {
      registers[a.address] = reported[a.address] = a.value;
    } else {
      return 2;
    }
  }
  SupplyHandler != nullptr ? SupplyHandler() : ResetHandler();
  React();
  printf("core %u\nticks %u\n", hal::CoreClockHz(), hal::TicksPerSecond());
  printf("cycles %d\n", hal::GetTickSource() == hal::TickSource::kCycles);
}
