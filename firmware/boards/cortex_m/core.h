#ifndef TINYMIA_BOARDS_CORTEX_M_CORE_H_
#define TINYMIA_BOARDS_CORTEX_M_CORE_H_

#include <stdint.h>

// The core's own registers that the board layers touch: ARMv7-M Architecture Reference Manual,
// chapters B3 (system control, MPU) and C1 (DWT); Armv8-M has the same at the same addresses.
namespace tinymia::reg {

#ifdef __arm__
inline volatile uint32_t& At(uint32_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
}
#else
volatile uint32_t& At(uint32_t address);  // tests on the host bring registers of their own
#endif

constexpr uint32_t kDwtCtrl = 0xE0001000;
constexpr uint32_t kDwtCycCnt = 0xE0001004;
constexpr uint32_t kDwtLar = 0xE0001FB0;
constexpr uint32_t kDwtUnlock = 0xC5ACCE55;
constexpr uint32_t kDemcr = 0xE000EDFC;
constexpr uint32_t kDemcrTrace = 1u << 24;
constexpr uint32_t kNvicIser = 0xE000E100;
constexpr uint32_t kNvicIcer = 0xE000E180;
constexpr uint32_t kNvicIspr = 0xE000E200;
constexpr uint32_t kNvicIcpr = 0xE000E280;
constexpr uint32_t kNvicStir = 0xE000EF00;
constexpr uint32_t kSysTickCtrl = 0xE000E010;
constexpr uint32_t kSysTickOn = 7;  // core clock, interrupt, counter
constexpr uint32_t kSysTickReload = 0xE000E014;
constexpr uint32_t kSysTickValue = 0xE000E018;
constexpr uint32_t kIcsr = 0xE000ED04;
constexpr uint32_t kIcsrSysTickForget = 1u << 25;
constexpr uint32_t kIcsrSysTickPending = 1u << 26;
constexpr uint32_t kScbVtor = 0xE000ED08;
constexpr uint32_t kScbAircr = 0xE000ED0C;
constexpr uint32_t kScbCcr = 0xE000ED14;
constexpr uint32_t kCcrTrapUnaligned = 1u << 3;
constexpr uint32_t kScbCfsr = 0xE000ED28;
constexpr uint32_t kScbCpacr = 0xE000ED88;
constexpr uint32_t kMpuCtrl = 0xE000ED94;
constexpr uint32_t kMpuRbar = 0xE000ED9C;
constexpr uint32_t kMpuRasr = 0xE000EDA0;

inline void EnableInterrupt(uint32_t irq) { At(kNvicIser + 4 * (irq / 32)) = 1u << (irq % 32); }
inline void ForgetInterrupt(uint32_t irq) { At(kNvicIcpr + 4 * (irq / 32)) = 1u << (irq % 32); }

// Raises an interrupt by software and, if it is enabled, serves it.
inline void RaiseInterrupt(uint32_t irq) {
#ifdef __ARM_ARCH_6M__
  At(kNvicIspr) = 1u << irq;  // Armv6-M has 32 interrupts and no STIR
#else
  At(kNvicStir) = irq;
#endif
  __asm volatile("dsb\nisb" ::: "memory");
}

#ifdef TINYMIA_DCACHE
// The M7's caches (Armv7-M manual B2.2.7, B3.2): emptied, then switched on.
inline void EnableCaches() {
  constexpr uint32_t kCcsidr = 0xE000ED80, kCsselr = 0xE000ED84;
  constexpr uint32_t kIciallu = 0xE000EF50, kDcisw = 0xE000EF60;
  At(kIciallu) = 0;
  At(kCsselr) = 0;
  __asm volatile("dsb\nisb" ::: "memory");
  const uint32_t shape = At(kCcsidr);
  const uint32_t last_set = shape >> 13 & 0x7FFF, last_way = shape >> 3 & 0x3FF;
  for (uint32_t set = 0; set <= last_set; ++set) {
    for (uint32_t way = 0; way <= last_way; ++way) At(kDcisw) = set << 5 | way << 30;
  }
  __asm volatile("dsb" ::: "memory");
  At(kScbCcr) = At(kScbCcr) | 3u << 16;  // data and instructions
  __asm volatile("dsb\nisb" ::: "memory");
}

// Writes what the data cache holds of an object to memory, where it outlives a reset.
inline void CleanCache(uint32_t address, uint32_t size) {
  constexpr uint32_t kDccmvac = 0xE000EF68, kLine = 32;
  __asm volatile("dsb" ::: "memory");
  for (uint32_t at = address & ~(kLine - 1); at < address + size; at += kLine) At(kDccmvac) = at;
  __asm volatile("dsb" ::: "memory");
}
#endif

}  // namespace tinymia::reg

#endif  // TINYMIA_BOARDS_CORTEX_M_CORE_H_
