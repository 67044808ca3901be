#ifndef TINYMIA_BOARDS_CORTEX_M_CORE_H_
#define TINYMIA_BOARDS_CORTEX_M_CORE_H_

#include <stdint.h>

// The core's own registers that the board layers touch: ARMv7-M Architecture Reference Manual,
// chapters B3 (system control, MPU) and C1 (DWT); Armv8-M has the same at the same addresses.
namespace tinymia::reg {

inline volatile uint32_t& At(uint32_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
}

constexpr uint32_t kDwtCtrl = 0xE0001000;
constexpr uint32_t kDwtCycCnt = 0xE0001004;
constexpr uint32_t kDemcr = 0xE000EDFC;
constexpr uint32_t kDemcrTrace = 1u << 24;
constexpr uint32_t kNvicIser = 0xE000E100;
constexpr uint32_t kNvicIcpr = 0xE000E280;
constexpr uint32_t kNvicStir = 0xE000EF00;
constexpr uint32_t kScbVtor = 0xE000ED08;
constexpr uint32_t kScbAircr = 0xE000ED0C;
constexpr uint32_t kScbCfsr = 0xE000ED28;
constexpr uint32_t kScbCpacr = 0xE000ED88;
constexpr uint32_t kMpuCtrl = 0xE000ED94;
constexpr uint32_t kMpuRbar = 0xE000ED9C;
constexpr uint32_t kMpuRasr = 0xE000EDA0;

inline void EnableInterrupt(uint32_t irq) { At(kNvicIser + 4 * (irq / 32)) = 1u << (irq % 32); }
inline void ForgetInterrupt(uint32_t irq) { At(kNvicIcpr + 4 * (irq / 32)) = 1u << (irq % 32); }

// Raises an interrupt by software and, if it is enabled, serves it.
inline void RaiseInterrupt(uint32_t irq) {
  At(kNvicStir) = irq;
  __asm volatile("dsb\nisb" ::: "memory");
}

}  // namespace tinymia::reg

#endif  // TINYMIA_BOARDS_CORTEX_M_CORE_H_
