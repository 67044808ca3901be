#ifndef TINYMIA_BOARDS_NRF52840_VECTORS_H_
#define TINYMIA_BOARDS_NRF52840_VECTORS_H_

#include <stdint.h>

namespace tinymia {

// A peripheral's interrupt has the number of its address's bits 12 to 17 (nRF52840 PS 4.2.3).
constexpr uint32_t kInterrupts = 48;
constexpr uint32_t kReceiveIrq = 2;  // UARTE0
constexpr uint32_t kUnusedIrq = 23;  // EGU3

}  // namespace tinymia

#endif  // TINYMIA_BOARDS_NRF52840_VECTORS_H_
