// Stand-in for TensorFlow Lite Micro: what engine_tflm.cc uses of its public API, with the
// interpreter of this project behind it. tests/test_engine.py compiles the engine against it, and
// against the real one where there is one.
//
// As TFLM: it does not check the file or know its size, logs nothing, may use all of its memory
// while it plans and then some more than it tells, and uses memory from both ends. Unlike TFLM it
// aborts on memory that is too small for its own objects, where TFLM follows a null pointer.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflite_model.h"

union TfLitePtrUnion {
  int8_t* int8;
};

struct TfLiteTensor {
  TfLitePtrUnion data;
};

namespace tflite {

class MicroResourceVariables;
class MicroProfilerInterface;

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, uint8_t* tensor_arena,
                   size_t tensor_arena_size, MicroResourceVariables* = nullptr,
                   MicroProfilerInterface* = nullptr)
      : data_(static_cast<const uint8_t*>(static_cast<const void*>(model))),
        resolver_(op_resolver),
        arena_(tensor_arena, static_cast<uint32_t>(tensor_arena_size)) {
    if (tensor_arena_size < kOwn) abort();
  }

  TfLiteStatus AllocateTensors() {
    tinymia::TfliteModel model = Open();
    for (uint32_t i = 0; i < model.operator_count(); ++i) {
      tinymia::Operator op;
      if (model.ReadOperator(i, &op) != tinymia::Status::kOk) return kTfLiteError;
      if (!resolver_.Has(op.code)) return kTfLiteError;
    }
    if (interpreter_.Load(data_, kAnySize, &arena_) != tinymia::Status::kOk) return kTfLiteError;
    arena_.Alloc(kOwn, 16);
    if (arena_.used() + kPlanning > arena_.size()) return kTfLiteError;
    memset(arena_.base() + arena_.size() - kOwn, 0xA5, kOwn);
    input_.data.int8 = interpreter_.input();
    output_.data.int8 = const_cast<int8_t*>(interpreter_.output());
    return kTfLiteOk;
  }

  TfLiteStatus Invoke() {
    interpreter_.Invoke();
    return kTfLiteOk;
  }

  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }
  size_t arena_used_bytes() const { return arena_.used(); }

 private:
  static constexpr uint32_t kAnySize = 0x7fffffff;
  static constexpr uint32_t kOwn = 512;
  static constexpr uint32_t kPlanning = 1500;

  tinymia::TfliteModel Open() const {
    tinymia::TfliteModel model(data_, kAnySize);
    if (model.Open() != tinymia::Status::kOk) abort();
    return model;
  }

  const uint8_t* data_;
  const MicroOpResolver& resolver_;
  tinymia::Arena arena_;
  tinymia::Interpreter interpreter_;
  TfLiteTensor input_ = {};
  TfLiteTensor output_ = {};
};

}  // namespace tflite
