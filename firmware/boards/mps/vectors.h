#ifndef TINYMIA_BOARDS_MPS_VECTORS_H_
#define TINYMIA_BOARDS_MPS_VECTORS_H_

#include <stdint.h>

namespace tinymia {

#if defined(TINYMIA_MPS2_AN385) || defined(TINYMIA_MPS2_AN500)
constexpr uint32_t kInterrupts = 32;
constexpr uint32_t kReceiveIrq = 0;  // UART 0, receive
#elif defined(TINYMIA_MPS2_AN505)
constexpr uint32_t kInterrupts = 124;
constexpr uint32_t kReceiveIrq = 42;  // UART 0, combined
#elif defined(TINYMIA_MPS3_AN547)
constexpr uint32_t kInterrupts = 128;
constexpr uint32_t kReceiveIrq = 43;  // UART 0, combined
#endif
constexpr uint32_t kUnusedIrq = 31;  // reserved, or never enabled here

}  // namespace tinymia

#endif  // TINYMIA_BOARDS_MPS_VECTORS_H_
