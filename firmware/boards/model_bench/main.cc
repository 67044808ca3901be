// Measures a model that lies where a bundle would: what an inference and each operator take. Every
// command is a byte, then numbers of 32 bits, little endian. 0x01, size: loads the model, answers
// status, bytes of arena, of input and of output, and operators. 0x02, seed: fills the input with
// the bytes of a generator and answers ticks and the output. 0x03, operators: ticks of that many,
// the first ones of the file.

#include <stdint.h>

#include "arena.h"
#include "hal.h"
#include "interpreter.h"
#include "tflite_model.h"

namespace {

namespace hal = tinymia::hal;

void Put(uint32_t value) {
  const uint8_t bytes[4] = {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8),
                            static_cast<uint8_t>(value >> 16), static_cast<uint8_t>(value >> 24)};
  hal::Write(bytes, sizeof(bytes));
}

uint32_t Pull(uint32_t count) {
  uint32_t value = 0;
  for (uint32_t have = 0; have < count;) {
    uint8_t byte;
    if (hal::Read(&byte, 1) == 0) {
      hal::WaitForInput();
    } else {
      value |= static_cast<uint32_t>(byte) << (8 * have++);
    }
  }
  return value;
}

void Load(tinymia::Interpreter* model, uint32_t size) {
  const uint8_t* data = hal::BundleRegion().data;
  tinymia::Arena arena(hal::ArenaBase(), hal::ArenaSize());
  const tinymia::Status status = model->Load(data, size, &arena);
  tinymia::TfliteModel file(data, size);
  const bool known = status == tinymia::Status::kOk && file.Open() == tinymia::Status::kOk;
  Put(static_cast<uint32_t>(status));
  Put(arena.used());
  Put(static_cast<uint32_t>(model->input_info().bytes));
  Put(static_cast<uint32_t>(model->output_info().bytes));
  Put(known ? file.operator_count() : 0);
}

// Numerical Recipes' generator modulo 2^32; its upper eight bits.
void Fill(tinymia::Interpreter* model, uint32_t seed) {
  for (int32_t i = 0; i < model->input_info().bytes; ++i) {
    seed = seed * 1664525u + 1013904223u;
    model->input()[i] = static_cast<int8_t>(static_cast<uint8_t>(seed >> 24));
  }
}

}  // namespace

int main() {
  hal::Init();
  const uint8_t hello = 0;  // whoever waits knows by it that the board listens now
  hal::Write(&hello, 1);
  tinymia::Interpreter model;
  for (;;) {
    const uint32_t command = Pull(1);
    if (command == 1) {
      Load(&model, Pull(4));
    } else if (command == 2) {
      Fill(&model, Pull(4));
      const uint32_t before = hal::Ticks();
      model.Invoke();
      Put(hal::Ticks() - before);
      const void* output = model.output();
      hal::Write(static_cast<const uint8_t*>(output),
                 static_cast<uint32_t>(model.output_info().bytes));
    } else if (command == 3) {
      tinymia::Interpreter::Cut cut;
      model.FindCut(Pull(4), &cut);
      const uint32_t before = hal::Ticks();
      model.Run(cut);
      Put(hal::Ticks() - before);
    }
  }
}
