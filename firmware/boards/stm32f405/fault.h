#ifndef TINYMIA_BOARDS_STM32F405_FAULT_H_
#define TINYMIA_BOARDS_STM32F405_FAULT_H_

#include <stdint.h>

#include "hal.h"

namespace tinymia {

constexpr uint32_t kStackPaint = 0xC5C5C5C5;
constexpr uint32_t kFaultMagic = 0x464C5421;

// Lies in RAM that start-up leaves alone; after power-on it holds anything, hence the check.
struct FaultMemory {
  uint32_t magic, cause, pc, status, check;
};

constexpr uint32_t FaultCheck(uint32_t cause, uint32_t pc, uint32_t status) {
  return ~(cause ^ pc ^ status ^ kFaultMagic);
}

// The record of the fault that led to this start, if any; clears it.
hal::FaultRecord TakeFaultRecord();

}  // namespace tinymia

#endif  // TINYMIA_BOARDS_STM32F405_FAULT_H_
