// Stand-in for TensorFlow Lite Micro: what engine_tflm.cc uses of its public API, with the
// interpreter of this project behind it. tests/test_engine.py compiles the engine against it, and
// against the real one where there is one.
//
// As TFLM: it does not check the file or know its size, logs nothing, may use all of its memory
// while it plans and then some more than it tells, uses memory from both ends, runs all operators,
// and keeps tensors only if asked. Unlike TFLM it aborts on memory that is too small for its own
// objects, where TFLM follows a null pointer.
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

struct TfLiteEvalTensor {
  TfLitePtrUnion data;
};

namespace tflite {

class MicroResourceVariables;
class MicroProfilerInterface;

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, uint8_t* tensor_arena,
                   size_t tensor_arena_size, MicroResourceVariables* = nullptr,
                   MicroProfilerInterface* = nullptr, bool preserve_all_tensors = false)
      : data_(static_cast<const uint8_t*>(static_cast<const void*>(model))),
        resolver_(op_resolver),
        arena_(tensor_arena, static_cast<uint32_t>(tensor_arena_size)),
        keeps_(preserve_all_tensors) {
    if (tensor_arena_size < kOwn) abort();
  }

  TfLiteStatus AllocateTensors() {
    tinymia::TfliteModel model = Open();
    operators_ = model.operator_count();
    for (uint32_t i = 0; i < operators_; ++i) {
      tinymia::Operator op;
      if (model.ReadOperator(i, &op) != tinymia::Status::kOk) return kTfLiteError;
      if (!resolver_.Has(op.code)) return kTfLiteError;
    }
    if (interpreter_.Load(data_, kAnySize, &arena_) != tinymia::Status::kOk) return kTfLiteError;
    if (keeps_ && !KeepTensors(&model)) return kTfLiteError;
    arena_.Alloc(kOwn, 16);
    if (arena_.used() + kPlanning > arena_.size()) return kTfLiteError;
    memset(arena_.base() + arena_.size() - kOwn, 0xA5, kOwn);
    input_.data.int8 = keeps_ ? kept_input_ : interpreter_.input();
    output_.data.int8 = const_cast<int8_t*>(interpreter_.output());
    return kTfLiteOk;
  }

  TfLiteStatus Invoke() {
    if (!keeps_) {
      interpreter_.Invoke();
      return kTfLiteOk;
    }
    for (uint32_t i = 0; i <= operators_; ++i) {
      memcpy(interpreter_.input(), kept_input_,
             static_cast<size_t>(interpreter_.input_info().bytes));
      tinymia::Interpreter::Cut cut;
      const uint32_t upto = i == operators_ ? tinymia::Interpreter::kAll : i + 1;
      if (interpreter_.FindCut(upto, &cut) != tinymia::Status::kOk) continue;
      interpreter_.Run(cut);
      if (i < operators_) {
        memcpy(kept_[i].data.int8, cut.data, static_cast<size_t>(cut.info.bytes));
      }
    }
    return kTfLiteOk;
  }

  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }

  TfLiteEvalTensor* GetTensor(int tensor_index, int = 0) {
    if (!keeps_) return nullptr;
    tinymia::TfliteModel model = Open();
    for (uint32_t i = 0; i < operators_; ++i) {
      tinymia::Operator op;
      model.ReadOperator(i, &op);
      if (model.Int32At(op.outputs, 0) == tensor_index) return &kept_[i];
    }
    return nullptr;
  }

  size_t arena_used_bytes() const { return arena_.used(); }

 private:
  static constexpr uint32_t kAnySize = 0x7fffffff;
  static constexpr uint32_t kOwn = 512;
  static constexpr uint32_t kPlanning = 200;

  tinymia::TfliteModel Open() const {
    tinymia::TfliteModel model(data_, kAnySize);
    if (model.Open() != tinymia::Status::kOk) abort();
    return model;
  }

  bool KeepTensors(tinymia::TfliteModel* model) {
    const auto input = static_cast<uint32_t>(interpreter_.input_info().bytes);
    kept_input_ = static_cast<int8_t*>(arena_.Alloc(input, 16));
    kept_ = arena_.AllocArray<TfLiteEvalTensor>(operators_);
    if (kept_ == nullptr) return false;
    for (uint32_t i = 0; i < operators_; ++i) {
      tinymia::Operator op;
      tinymia::Tensor tensor;
      model->ReadOperator(i, &op);
      model->ReadTensor(model->Int32At(op.outputs, 0), &tensor);
      kept_[i].data.int8 = static_cast<int8_t*>(arena_.Alloc(tensor.bytes, 16));
    }
    return arena_.used() <= arena_.size();
  }

  const uint8_t* data_;
  const MicroOpResolver& resolver_;
  tinymia::Arena arena_;
  bool keeps_;
  tinymia::Interpreter interpreter_;
  uint32_t operators_ = 0;
  int8_t* kept_input_ = nullptr;
  TfLiteEvalTensor* kept_ = nullptr;
  TfLiteTensor input_ = {};
  TfLiteTensor output_ = {};
};

}  // namespace tflite
