// A plugin of QEMU (TCG) that counts what a simulated Cortex-M executes between two readings of its
// timer: how often each instruction came after each other one, and how long a flash like the
// STM32F4's would have made it wait. What an instruction takes is said in Python (timing.py).
//
// Arguments: out=FILE, ticks=FIRST-LAST (addresses of the function that reads the timer),
// flash=FIRST-LAST (of code and constants), waits=N (wait states of the flash). Each reading adds a
// record to FILE: a Record, then as many Edges. QEMU's own header is not needed: these few
// functions are its stable interface (docs/devel/tcg-plugins.rst), declared here.

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info_t;
enum { kNoRegisters = 0, kReadsAndWrites = 3 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t,
                                                  void (*)(qemu_plugin_id_t,
                                                           struct qemu_plugin_tb*));
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn*,
                                                   void (*)(unsigned, void*), int, void*);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn*,
                                             void (*)(unsigned, qemu_plugin_meminfo_t, uint64_t,
                                                      void*),
                                             int, int, void*);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
extern struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn*);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn*);
extern bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);
extern unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t);

#define EXPORT __attribute__((visibility("default")))
#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif
EXPORT int qemu_plugin_version = PLUGIN_VERSION;

enum {
  kSlots = 1 << 16,        // of the table of instructions, a power of two
  kLineBits = 4,           // 128 bits a line
  kInstructionLines = 64,  // RM0090 3.5.2
  kDataLines = 8,
  kLeast = 4,  // instructions: a timer that is read over and over has shorter ones
  kPeripherals = 0x40000000,
};

typedef struct Edge {
  uint32_t before, here;
  uint64_t times;
} Edge;

typedef struct Record {
  uint64_t edges, instructions;
  uint64_t unaligned;    // further bus accesses of loads that are not aligned
  uint64_t code_stalls;  // cycles that lines of code were waited for
  uint64_t data_stalls;  // the same of constants
} Record;

typedef struct Node {
  uint32_t address, size;
  uint32_t count, room;
  Edge* edges;
  struct Node* next;  // of those that came since the last reading
  bool listed;
} Node;

typedef struct Cache {
  uint32_t line[kInstructionLines];
  uint64_t used[kInstructionLines];
  uint32_t lines;
} Cache;

static FILE* out;
static uint32_t ticks_first, ticks_last, flash_first, flash_last, waits;
static Node* table[kSlots];
static Node* fresh;
static uint32_t before;
static Record now;
static Cache code = {.lines = kInstructionLines}, constants = {.lines = kDataLines};
static uint64_t clock_;
static uint32_t current_line = UINT32_MAX, since_entry;

static Node* Find(uint32_t address, uint32_t size) {
  uint32_t slot = (address >> 1) * 2654435761u >> 16;
  for (; table[slot] != NULL; slot = (slot + 1) % kSlots) {
    if (table[slot]->address == address) {
      table[slot]->size = size;
      return table[slot];
    }
  }
  Node* node = calloc(1, sizeof *node);
  if (node == NULL) abort();
  node->address = address;
  node->size = size;
  return table[slot] = node;
}

// Whether a line is there; it is afterwards, for the one that was not used for longest.
static bool Hit(Cache* cache, uint32_t line) {
  uint32_t oldest = 0;
  ++clock_;
  for (uint32_t i = 0; i < cache->lines; ++i) {
    if (cache->used[i] != 0 && cache->line[i] == line) {
      cache->used[i] = clock_;
      return true;
    }
    if (cache->used[i] < cache->used[oldest]) oldest = i;
  }
  cache->line[oldest] = line;
  cache->used[oldest] = clock_;
  return false;
}

// The line behind the one that runs is read ahead, at least a cycle an instruction; one that is
// there in time is used from there, any other is a miss and is kept.
static void Fetch(uint32_t line) {
  if (line == current_line) return;
  const uint32_t ahead = line == current_line + 1 ? since_entry : 0;
  if (ahead < waits && !Hit(&code, line)) now.code_stalls += waits - ahead;
  current_line = line;
  since_entry = 0;
}

static void Executed(unsigned cpu, void* data) {
  (void)cpu;
  Node* node = data;
  uint32_t i = 0;
  while (i < node->count && node->edges[i].before != before) ++i;
  if (i == node->count) {
    if (i == node->room) {
      node->room = node->room == 0 ? 2 : 2 * node->room;
      node->edges = realloc(node->edges, node->room * sizeof(Edge));
      if (node->edges == NULL) abort();
    }
    node->edges[node->count++] = (Edge){before, node->address, 0};
  }
  ++node->edges[i].times;
  if (!node->listed) {
    node->listed = true;
    node->next = fresh;
    fresh = node;
  }
  before = node->address;
  ++now.instructions;
  if (node->address >= flash_first && node->address < flash_last) {
    Fetch(node->address >> kLineBits);
    Fetch((node->address + node->size - 1) >> kLineBits);
    ++since_entry;
  }
}

static void Write(void) {
  for (Node* node = fresh; node != NULL; node = node->next) now.edges += node->count;
  const bool told = now.instructions >= kLeast;
  if (told) fwrite(&now, sizeof now, 1, out);
  while (fresh != NULL) {
    Node* node = fresh;
    if (told) fwrite(node->edges, sizeof(Edge), node->count, out);
    node->count = 0;
    node->listed = false;
    fresh = node->next;
  }
  if (told) fflush(out);
  memset(&now, 0, sizeof now);
}

static void Accessed(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void* data) {
  (void)cpu;
  const Node* node = data;
  const uint32_t at = (uint32_t)address;
  if (qemu_plugin_mem_is_store(info)) return;
  if (at >= kPeripherals) {
    if (node->address >= ticks_first && node->address < ticks_last) Write();
    return;
  }
  // A halfword at an odd address is two bytes; a word takes two accesses, or three at an odd one.
  const unsigned shift = qemu_plugin_mem_size_shift(info);
  if (shift >= 1 && (at & 1u) != 0)
    now.unaligned += shift;
  else if (shift >= 2 && (at & 2u) != 0)
    ++now.unaligned;
  if (at >= flash_first && at < flash_last && !Hit(&constants, at >> kLineBits)) {
    now.data_stalls += waits;
  }
}

static void Translated(qemu_plugin_id_t id, struct qemu_plugin_tb* block) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
    struct qemu_plugin_insn* insn = qemu_plugin_tb_get_insn(block, i);
    Node* node =
        Find((uint32_t)qemu_plugin_insn_vaddr(insn), (uint32_t)qemu_plugin_insn_size(insn));
    qemu_plugin_register_vcpu_insn_exec_cb(insn, Executed, kNoRegisters, node);
    qemu_plugin_register_vcpu_mem_cb(insn, Accessed, kNoRegisters, kReadsAndWrites, node);
  }
}

static bool Range(const char* text, uint32_t* first, uint32_t* last) {
  return sscanf(text, "%x-%x", first, last) == 2;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t* info, int argc,
                               char** argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    bool known = false;
    if (strncmp(argv[i], "out=", 4) == 0) known = (out = fopen(argv[i] + 4, "wb")) != NULL;
    if (strncmp(argv[i], "ticks=", 6) == 0) known = Range(argv[i] + 6, &ticks_first, &ticks_last);
    if (strncmp(argv[i], "flash=", 6) == 0) known = Range(argv[i] + 6, &flash_first, &flash_last);
    if (strncmp(argv[i], "waits=", 6) == 0) known = sscanf(argv[i] + 6, "%u", &waits) == 1;
    if (!known) {
      fprintf(stderr, "counter: cannot use %s\n", argv[i]);
      return 1;
    }
  }
  if (out == NULL || ticks_last == 0) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, Translated);
  return 0;
}
