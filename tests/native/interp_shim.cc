// C interface to the inference engine, for ctypes.
#include <new>

#include "arena.h"
#include "model_engine.h"

using tinymia::Arena;
using Interpreter = tinymia::Engine;

extern "C" {

struct ShimInfo {
  int32_t status;
  uint32_t arena_used;
  Interpreter::TensorInfo input;
  Interpreter::TensorInfo output;
  uint32_t a, b;  // of the refusal
  uint32_t inputs, outputs;
};

uint32_t shim_interpreter_size() { return sizeof(Interpreter); }

// `interpreter` is memory of shim_interpreter_size() bytes, aligned to 16.
void shim_load(void* interpreter, const uint8_t* model, uint32_t size, uint8_t* arena,
               uint32_t arena_size, ShimInfo* info) {
  Arena memory(arena, arena_size);
  auto* it = new (interpreter) Interpreter();
  info->status = static_cast<int32_t>(it->Load(model, size, &memory));
  info->arena_used = memory.used();
  info->input = it->input_info();
  info->output = it->output_info();
  info->a = it->refusal().a;
  info->b = it->refusal().b;
  info->inputs = it->input_count();
  info->outputs = it->output_count();
}

// The place behind the first `operators` operators: what lies there, and a status.
int32_t shim_find_cut(void* interpreter, uint32_t operators, Interpreter::TensorInfo* info) {
  Interpreter::Cut cut;
  const auto status = static_cast<Interpreter*>(interpreter)->FindCut(operators, &cut);
  *info = cut.info;
  return static_cast<int32_t>(status);
}

// The bytes there, for `count` inputs.
void shim_run_cut(void* interpreter, uint32_t operators, const int8_t* inputs, int8_t* outputs,
                  uint32_t count) {
  auto* it = static_cast<Interpreter*>(interpreter);
  Interpreter::Cut cut;
  it->FindCut(operators, &cut);
  const auto in = static_cast<size_t>(it->input_info().bytes);
  const auto out = static_cast<size_t>(cut.info.bytes);
  for (uint32_t i = 0; i < count; ++i) {
    memcpy(it->input(), inputs + i * in, in);
    it->Run(cut);
    memcpy(outputs + i * out, cut.data, out);
  }
}

#ifndef TINYMIA_ENGINE_TFLM
// Input or output `i`, all inputs counted first.
int8_t* shim_end(void* interpreter, uint32_t i, Interpreter::TensorInfo* info) {
  auto* it = static_cast<Interpreter*>(interpreter);
  *info = it->EndInfo(i);
  return it->End(i);
}

void shim_run(void* interpreter) { static_cast<Interpreter*>(interpreter)->Invoke(); }
#endif

void shim_invoke(void* interpreter, const int8_t* inputs, int8_t* outputs, uint32_t count) {
  auto* it = static_cast<Interpreter*>(interpreter);
  const int32_t in = it->input_info().bytes;
  const int32_t out = it->output_info().bytes;
  for (uint32_t i = 0; i < count; ++i) {
    memcpy(it->input(), inputs + i * static_cast<uint32_t>(in), static_cast<size_t>(in));
    it->Invoke();
    memcpy(outputs + i * static_cast<uint32_t>(out), it->output(), static_cast<size_t>(out));
  }
}
}
