// The second stage of booting (RP2040 datasheet 2.8.1.3): the boot ROM takes the first 256 bytes of
// flash into RAM, checks their CRC and runs them. They turn flash into memory and start the
// program.

#include <stdint.h>

namespace tinymia {
namespace {

// Serial reads (command 03h), at a quarter of the system clock: what any flash chip can do. Wider
// reads would need commands of the chip's maker. Machine code, so that the CRC needs no tool.
constexpr uint16_t kCode[] = {
    0x2318,          // movs r3, #24
    0x061B,          // lsls r3, r3, #24: the SSI (4.10.13)
    0x2000,          // movs r0, #0
    0x6098,          // str r0, [r3, #8]: SSIENR, off while it is changed
    0x6058,          // str r0, [r3, #4]: CTRLR1, one frame
    0x2104,          // movs r1, #4
    0x6159,          // str r1, [r3, #20]: BAUDR
    0x4906,          // ldr r1, [pc, #24]
    0x6019,          // str r1, [r3, #0]: CTRLR0
    0x4906,          // ldr r1, [pc, #24]
    0x22F4,          // movs r2, #244
    0x5099,          // str r1, [r3, r2]: SPI_CTRLR0
    0x2101,          // movs r1, #1
    0x6099,          // str r1, [r3, #8]: SSIENR, on
    0x4804,          // ldr r0, [pc, #16]
    0xC806,          // ldmia r0!, {r1, r2}
    0xF381, 0x8808,  // msr MSP, r1
    0x4710,          // bx r2
    0x46C0,          // nop
    0x0300, 0x001F,  // CTRLR0: frames of 32 bits, read after command and address
    0x0218, 0x0300,  // SPI_CTRLR0: command 03h of 8 bits, address of 24
    0x0100, 0x1000,  // the program's vector table
};

struct Boot2 {
  uint16_t code[126];
  uint16_t crc[2];
};

constexpr uint32_t AddToCrc(uint32_t crc, uint32_t byte) {
  crc ^= byte << 24;
  for (int bit = 0; bit < 8; ++bit) crc = crc << 1 ^ (crc >> 31 != 0 ? 0x04C11DB7 : 0);
  return crc;
}

constexpr Boot2 MakeBoot2() {
  Boot2 made = {};
  uint32_t crc = 0xFFFFFFFF;
  for (uint32_t i = 0; i < sizeof made.code / 2; ++i) {
    if (i < sizeof kCode / 2) made.code[i] = kCode[i];
    crc = AddToCrc(crc, made.code[i] & 0xFF);
    crc = AddToCrc(crc, made.code[i] >> 8);
  }
  made.crc[0] = static_cast<uint16_t>(crc);
  made.crc[1] = static_cast<uint16_t>(crc >> 16);
  return made;
}

__attribute__((section(".boot2"), used)) constexpr Boot2 kBoot2 = MakeBoot2();
static_assert(sizeof kBoot2 == 256, "the boot ROM takes 256 bytes");

}  // namespace
}  // namespace tinymia
