// Vector table, C start-up and fault handling.

#include "startup.h"

#include <stdint.h>

#include "core.h"
#include "hal.h"
#include "vectors.h"

extern "C" {
extern uint32_t tinymia_data_load[];
extern uint32_t tinymia_data_start[];
extern uint32_t tinymia_data_end[];
extern uint32_t tinymia_bss_start[];
extern uint32_t tinymia_bss_end[];
extern void (*tinymia_init_array_start[])();
extern void (*tinymia_init_array_end[])();

void FaultHandler();
[[noreturn]] void FaultMain(uint32_t pc);
}

int main();

namespace tinymia {
namespace {

using Handler = void (*)();
constexpr uint32_t kExceptions = 16;

struct VectorTable {
  uint32_t* stack_top;
  Handler handlers[kExceptions - 1 + kInterrupts];
};

constexpr VectorTable MakeVectors() {
  VectorTable table = {tinymia_stack_top, {}};
  for (Handler& handler : table.handlers) handler = FaultHandler;
#ifdef TINYMIA_SUPPLY
  table.handlers[0] = SupplyHandler;
#else
  table.handlers[0] = ResetHandler;
#endif
  table.handlers[kExceptions - 1 + kReceiveIrq] = ReceiveHandler;
#ifdef TINYMIA_SYSTICK
  table.handlers[14] = SysTickHandler;
#endif
  return table;
}

__attribute__((section(".vectors"), used)) constexpr VectorTable kVectors = MakeVectors();

__attribute__((section(".noinit"))) volatile FaultMemory fault_memory;
hal::FaultRecord last_fault;

// The record of the fault that led to this start, if any; clears it.
void TakeFaultRecord() {
  if (fault_memory.magic == kFaultMagic &&
      fault_memory.check == FaultCheck(fault_memory.cause, fault_memory.pc, fault_memory.status)) {
    last_fault = {fault_memory.cause, fault_memory.pc, fault_memory.status};
  }
  fault_memory.magic = 0;
}

}  // namespace

hal::FaultRecord hal::LastFault() { return last_fault; }

uint32_t hal::StackSize() {
  return static_cast<uint32_t>(tinymia_stack_top - tinymia_stack_bottom) * sizeof(uint32_t);
}

uint32_t hal::StackHighWater() {
  const volatile uint32_t* p = tinymia_stack_bottom;
  while (p < tinymia_stack_top && *p == kStackPaint) ++p;
  return static_cast<uint32_t>(tinymia_stack_top - p) * sizeof(uint32_t);
}

void hal::Reset() {
  __asm volatile("dsb" ::: "memory");
  reg::At(reg::kScbAircr) = 0x05FA0004;  // VECTKEY, SYSRESETREQ
  for (;;) __asm volatile("dsb");
}

}  // namespace tinymia

void ResetHandler() {
  using namespace tinymia;
#ifdef __ARM_FP
  reg::At(reg::kScbCpacr) = reg::At(reg::kScbCpacr) | (0xFu << 20);  // FPU on, before any use
#endif
  // A bootloader may have left SysTick running, whose exception nobody here handles.
  reg::At(reg::kSysTickCtrl) = 0;
  reg::At(reg::kIcsr) = reg::kIcsrSysTickForget;
  reg::At(reg::kScbVtor) = reinterpret_cast<uint32_t>(&kVectors);
  __asm volatile("dsb\nisb" ::: "memory");

  uint32_t* sp;
  __asm volatile("mov %0, sp" : "=r"(sp));
  for (volatile uint32_t* p = tinymia_stack_bottom; p < sp; ++p) *p = kStackPaint;

  const uint32_t* load = tinymia_data_load;
  for (uint32_t* p = tinymia_data_start; p < tinymia_data_end;) *p++ = *load++;
  for (uint32_t* p = tinymia_bss_start; p < tinymia_bss_end;) *p++ = 0;
  for (auto init = tinymia_init_array_start; init < tinymia_init_array_end; ++init) (*init)();
  TakeFaultRecord();

  main();
  hal::Reset();
}

// Every exception and interrupt that nobody handles. The stack may be what broke, so it is read
// only where it is sound, and then begun anew. In the few instructions that Armv6-M has, too.
__attribute__((naked)) void FaultHandler() {
  __asm volatile(
      "mrs r0, msp\n"
      "ldr r1, =tinymia_stack_bottom\n"
      "ldr r2, =tinymia_stack_top\n"
      "mov r3, r2\n"
      "subs r3, #32\n"
      "cmp r0, r1\n"
      "blo 1f\n"
      "cmp r0, r3\n"
      "bhi 1f\n"
      "ldr r0, [r0, #24]\n"  // stacked pc
      "b 2f\n"
      "1: movs r0, #0\n"
      "2: msr msp, r2\n"
      "ldr r3, =FaultMain\n"
      "bx r3\n");
}

// Leaves a record and restarts the board: the host sees a fresh handshake, not silence.
void FaultMain(uint32_t pc) {
  using namespace tinymia;
  uint32_t cause;
  __asm volatile("mrs %0, ipsr" : "=r"(cause));
#ifdef __ARM_ARCH_6M__
  const uint32_t status = 0;  // Armv6-M has no fault status
#else
  const uint32_t status = reg::At(reg::kScbCfsr);
#endif
  fault_memory.cause = cause;
  fault_memory.pc = pc;
  fault_memory.status = status;
  fault_memory.check = FaultCheck(cause, pc, status);
  fault_memory.magic = kFaultMagic;
#ifdef TINYMIA_DCACHE
  reg::CleanCache(reinterpret_cast<uint32_t>(&fault_memory), sizeof fault_memory);
#endif
  hal::Reset();
}
