// The core compiled for one instruction set, behind functions that name none of its types: the
// core's namespace differs from set to set, so that no inline function of one leaks into another.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace twin {

// What a network with a boundary is, or why it cannot be used (see status.h).
struct Shape {
  uint8_t status;
  uint32_t a, b;
  uint32_t input_bytes;  // of a window
  uint32_t slot_bytes;   // of the boundary's tensor
  uint32_t classes;
  uint32_t layers;
  uint32_t weights;        // parameters from the boundary on, biases among them
  uint32_t biases;         // only the biases
  uint64_t boundaries[4];  // bit i: training can start at layer i
  uint32_t first_layer;
  uint32_t cut;          // operators in front of the boundary
  uint32_t references;   // of the bundle, for this boundary
  uint32_t labelled;     // of those
  uint32_t classifiers;  // of members
  float scale;           // of the boundary's tensor
  int32_t zero_point;
};

// What all devices of a run share. All of it stays where it is.
struct Problem {
  const uint8_t* bundle;  // 16-byte aligned
  uint32_t bundle_size;
  uint32_t first_layer;    // kLastLayer: the last one
  const int8_t* windows;   // [count][input_bytes], nullptr without augmentation
  const int8_t* features;  // [count][slot_bytes]
  const uint8_t* labels;
  uint32_t count;
  const int8_t* queries;  // [query_count][slot_bytes]
  uint32_t query_count;
};
constexpr uint32_t kLastLayer = 0xFFFFFFFFu;

// Devices and where their results go; every array's first index is the device's number.
struct Fleet {
  const void* settings;    // TrainSettings
  const uint8_t* members;  // [bitmap_bytes], bit i: example i
  uint32_t bitmap_bytes;
  const uint32_t* checkpoints;  // epochs, ascending
  uint32_t checkpoint_count;
  const float* starts;    // where each starts, [start_stride]; nullptr: at the base network
  uint32_t start_stride;  // 0: all at the same
  uint32_t parameter_stride;
  float* parameters;     // [parameter_stride], nullptr: not wanted
  float* probabilities;  // [checkpoint_count][query_count][classes]
  uint64_t* hashes;      // [checkpoint_count]
  float* losses;         // these four: [epochs]
  float* held_out;
  uint32_t* steps;
  uint32_t* clipped;
  uint8_t* stopped;
  const bool* cancelled;  // looked at before every epoch; may change at any time
};

struct Isa {
  const char* name;
  uint32_t lanes;

  // What a boundary gives; of a bundle that is not trusted.
  Shape (*describe)(const uint8_t* bundle, uint32_t size, uint32_t first_layer);
  // Boundary tensors of windows.
  bool (*embed)(const uint8_t* bundle, uint32_t size, uint32_t first_layer, const int8_t* windows,
                uint32_t count, int8_t* out);
  // A worker is used by one thread at a time; nullptr when memory is short.
  void* (*create)(const Problem* problem);
  void (*destroy)(void* worker);
  // Trains the devices numbered by `devices`, at most `lanes` of them with `trained` the same in
  // all, side by side. False when memory is short.
  bool (*run)(void* worker, const Fleet* fleet, const uint32_t* devices, uint32_t count);
};

// All that are compiled in, the widest first; the last two run on any processor of the kind.
struct IsaEntry {
  const Isa* isa;
  bool (*supported)();
};
extern const IsaEntry kIsas[];
extern const size_t kIsaCount;

}  // namespace twin
