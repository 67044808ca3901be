// Generated from firmware/protocol/protocol.toml. Do not edit.
// clang-format off
#pragma once

#include <stdint.h>
#include <string.h>

namespace tinymia {

constexpr char kFirmwareVersion[] = "0.1.0";
constexpr uint16_t kProtocolVersion = 9;
constexpr uint32_t kProtocolMagic = 0x41494d54;
constexpr uint32_t kMaxPayload = 1024;
constexpr uint32_t kWindow = 4;

// What an answer reveals.
enum class Policy : uint8_t {
  kFull = 0,  // every class probability as float32
  kTop1 = 1,  // the most probable class as u8 and its probability as float32
  kRounded = 2,  // every probability as u16, in steps of 1/levels, rounded to nearest
  kLabel = 3,  // the index of the most probable class as u8
  kTopk = 4,  // the `levels` most probable classes, the most probable first, each as u8 and its probability as float32
};

// What the board's tick counter counts; the unit travels with every number.
enum class TickSource : uint8_t {
  kCycles = 0,  // core cycles (DWT CYCCNT)
  kTimer = 1,  // a timer: exact instructions under QEMU -icount shift=0
  kHostNs = 2,  // nanoseconds of a host build: not comparable with a board's
};

// Where the randomness of DP-SGD comes from.
enum class SecretSource : uint8_t {
  kSeed = 0,  // the run's seed: repeatable, for audits; gives nobody privacy
  kChip = 1,  // the chip's generator of true random numbers
};

enum class Type : uint8_t {
  kHello = 1,
  kInfo = 2,
  kState = 3,
  kClear = 4,
  kPut = 5,
  kInfer = 6,
  kSelect = 7,
  kBegin = 8,
  kTrain = 9,
  kQuery = 10,
  kAsk = 11,
  kTail = 12,
  kEcho = 13,
  kLayout = 14,
  kPart = 15,
  kShare = 16,
  kUpdate = 17,
  kGive = 18,
  kMask = 19,
  kPeer = 20,
  kReveal = 21,
  kGuard = 22,
  kBusy = 125,
  kResend = 126,
};
constexpr uint8_t kResponse = 0x80;

// Starts a session; forgets sequence numbers and cached responses of the last one, nothing else. Magic, nonce and version stay first in every version.
struct HelloRequest {
  uint32_t magic;
  uint32_t nonce;
  uint16_t version;
  static constexpr uint32_t kFixed = 10;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&magic, payload + 0, 4);
    memcpy(&nonce, payload + 4, 4);
    memcpy(&version, payload + 8, 2);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &magic, 4);
    memcpy(payload + 4, &nonce, 4);
    memcpy(payload + 8, &version, 2);
    return kFixed;
  }
};
struct HelloResponse {
  uint32_t magic;
  uint32_t nonce;
  uint16_t version;
  uint16_t max_payload;
  uint8_t window;
  uint8_t tick_source;
  char build_id[20];
  char board[24];
  char firmware[16];
  uint8_t bundle_status;
  uint32_t bundle_a;
  uint32_t bundle_b;
  uint32_t fault_cause;
  uint32_t fault_pc;
  uint32_t fault_status;
  static constexpr uint32_t kFixed = 95;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&magic, payload + 0, 4);
    memcpy(&nonce, payload + 4, 4);
    memcpy(&version, payload + 8, 2);
    memcpy(&max_payload, payload + 10, 2);
    memcpy(&window, payload + 12, 1);
    memcpy(&tick_source, payload + 13, 1);
    memcpy(build_id, payload + 14, 20);
    memcpy(board, payload + 34, 24);
    memcpy(firmware, payload + 58, 16);
    memcpy(&bundle_status, payload + 74, 1);
    memcpy(&bundle_a, payload + 75, 4);
    memcpy(&bundle_b, payload + 79, 4);
    memcpy(&fault_cause, payload + 83, 4);
    memcpy(&fault_pc, payload + 87, 4);
    memcpy(&fault_status, payload + 91, 4);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &magic, 4);
    memcpy(payload + 4, &nonce, 4);
    memcpy(payload + 8, &version, 2);
    memcpy(payload + 10, &max_payload, 2);
    memcpy(payload + 12, &window, 1);
    memcpy(payload + 13, &tick_source, 1);
    memcpy(payload + 14, build_id, 20);
    memcpy(payload + 34, board, 24);
    memcpy(payload + 58, firmware, 16);
    memcpy(payload + 74, &bundle_status, 1);
    memcpy(payload + 75, &bundle_a, 4);
    memcpy(payload + 79, &bundle_b, 4);
    memcpy(payload + 83, &fault_cause, 4);
    memcpy(payload + 87, &fault_pc, 4);
    memcpy(payload + 91, &fault_status, 4);
    return kFixed;
  }
};

// What the bundle is and where the memory goes. Sizes in bytes. `answer_policy` is the only one of a release build, where `secret_source` is CHIP.
struct InfoResponse {
  uint32_t bundle_crc;
  uint32_t bundle_size;
  uint32_t input_bytes;
  float input_scale;
  int32_t input_zero_point;
  uint32_t output_bytes;
  float output_scale;
  int32_t output_zero_point;
  uint16_t classes;
  uint8_t has_tail;
  uint32_t arena_used;
  uint32_t arena_size;
  uint32_t model_arena;
  uint32_t tail_arena;
  uint32_t store_arena;
  uint32_t stack_used;
  uint32_t stack_size;
  uint16_t store_capacity;
  uint32_t rx_overruns;
  uint8_t layers;
  uint8_t first_layer;
  uint8_t raw;
  uint32_t slot_bytes;
  uint32_t trained_parameters;
  float budget_noise;
  float budget_rate;
  uint32_t budget_steps;
  uint32_t budget_left;
  uint8_t secret_source;
  uint8_t answer_policy;
  uint16_t answer_levels;
  static constexpr uint32_t kFixed = 100;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&bundle_crc, payload + 0, 4);
    memcpy(&bundle_size, payload + 4, 4);
    memcpy(&input_bytes, payload + 8, 4);
    memcpy(&input_scale, payload + 12, 4);
    memcpy(&input_zero_point, payload + 16, 4);
    memcpy(&output_bytes, payload + 20, 4);
    memcpy(&output_scale, payload + 24, 4);
    memcpy(&output_zero_point, payload + 28, 4);
    memcpy(&classes, payload + 32, 2);
    memcpy(&has_tail, payload + 34, 1);
    memcpy(&arena_used, payload + 35, 4);
    memcpy(&arena_size, payload + 39, 4);
    memcpy(&model_arena, payload + 43, 4);
    memcpy(&tail_arena, payload + 47, 4);
    memcpy(&store_arena, payload + 51, 4);
    memcpy(&stack_used, payload + 55, 4);
    memcpy(&stack_size, payload + 59, 4);
    memcpy(&store_capacity, payload + 63, 2);
    memcpy(&rx_overruns, payload + 65, 4);
    memcpy(&layers, payload + 69, 1);
    memcpy(&first_layer, payload + 70, 1);
    memcpy(&raw, payload + 71, 1);
    memcpy(&slot_bytes, payload + 72, 4);
    memcpy(&trained_parameters, payload + 76, 4);
    memcpy(&budget_noise, payload + 80, 4);
    memcpy(&budget_rate, payload + 84, 4);
    memcpy(&budget_steps, payload + 88, 4);
    memcpy(&budget_left, payload + 92, 4);
    memcpy(&secret_source, payload + 96, 1);
    memcpy(&answer_policy, payload + 97, 1);
    memcpy(&answer_levels, payload + 98, 2);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &bundle_crc, 4);
    memcpy(payload + 4, &bundle_size, 4);
    memcpy(payload + 8, &input_bytes, 4);
    memcpy(payload + 12, &input_scale, 4);
    memcpy(payload + 16, &input_zero_point, 4);
    memcpy(payload + 20, &output_bytes, 4);
    memcpy(payload + 24, &output_scale, 4);
    memcpy(payload + 28, &output_zero_point, 4);
    memcpy(payload + 32, &classes, 2);
    memcpy(payload + 34, &has_tail, 1);
    memcpy(payload + 35, &arena_used, 4);
    memcpy(payload + 39, &arena_size, 4);
    memcpy(payload + 43, &model_arena, 4);
    memcpy(payload + 47, &tail_arena, 4);
    memcpy(payload + 51, &store_arena, 4);
    memcpy(payload + 55, &stack_used, 4);
    memcpy(payload + 59, &stack_size, 4);
    memcpy(payload + 63, &store_capacity, 2);
    memcpy(payload + 65, &rx_overruns, 4);
    memcpy(payload + 69, &layers, 1);
    memcpy(payload + 70, &first_layer, 1);
    memcpy(payload + 71, &raw, 1);
    memcpy(payload + 72, &slot_bytes, 4);
    memcpy(payload + 76, &trained_parameters, 4);
    memcpy(payload + 80, &budget_noise, 4);
    memcpy(payload + 84, &budget_rate, 4);
    memcpy(payload + 88, &budget_steps, 4);
    memcpy(payload + 92, &budget_left, 4);
    memcpy(payload + 96, &secret_source, 1);
    memcpy(payload + 97, &answer_policy, 1);
    memcpy(payload + 98, &answer_levels, 2);
    return kFixed;
  }
};

// Where training stands; enough to resume after an interruption. A release build tells the epoch and the settings only; what it keeps to itself is 0 here and in every other response.
struct StateResponse {
  uint32_t epoch;
  uint64_t tail_hash;
  uint16_t stored;
  uint64_t store_hash;
  uint16_t members;
  uint64_t settings_hash;
  static constexpr uint32_t kFixed = 32;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&epoch, payload + 0, 4);
    memcpy(&tail_hash, payload + 4, 8);
    memcpy(&stored, payload + 12, 2);
    memcpy(&store_hash, payload + 14, 8);
    memcpy(&members, payload + 22, 2);
    memcpy(&settings_hash, payload + 24, 8);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &epoch, 4);
    memcpy(payload + 4, &tail_hash, 8);
    memcpy(payload + 12, &stored, 2);
    memcpy(payload + 14, &store_hash, 8);
    memcpy(payload + 22, &members, 2);
    memcpy(payload + 24, &settings_hash, 8);
    return kFixed;
  }
};

// Empties the sample store and goes back to the base network.

// Stores labelled windows from `slot` on: `data` is one label u8 a window, then the int8 windows; with a count of 1 and the label alone, the window that came in parts. Ticks of several windows or examples are u64, a sum that the board's 32-bit counter could not hold; those of one window fit in u32.
struct PutRequest {
  uint16_t slot;
  uint16_t count;
  uint8_t* data;  // u8[], unaligned, inside the frame
  uint32_t data_bytes;
  static constexpr uint32_t kFixed = 4;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size < kFixed) return false;
    memcpy(&slot, payload + 0, 2);
    memcpy(&count, payload + 2, 2);
    data = payload + kFixed;
    data_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &slot, 2);
    memcpy(payload + 2, &count, 2);
    return kFixed + data_bytes;
  }
};
struct PutResponse {
  uint16_t stored;
  uint64_t ticks;
  static constexpr uint32_t kFixed = 10;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&stored, payload + 0, 2);
    memcpy(&ticks, payload + 2, 8);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &stored, 2);
    memcpy(payload + 2, &ticks, 8);
    return kFixed;
  }
};

// Runs the model in the bundle on one int8 window (empty: the one that came in parts); `output` is its raw int8 output.
struct InferRequest {
  uint8_t* window;  // u8[], unaligned, inside the frame
  uint32_t window_bytes;
  static constexpr uint32_t kFixed = 0;
  bool Read(uint8_t* payload, uint32_t size) {
    window = payload + kFixed;
    window_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* /*payload*/) const {
    return kFixed + window_bytes;
  }
};
struct InferResponse {
  uint32_t ticks;
  uint8_t* output;  // u8[], unaligned, inside the frame
  uint32_t output_bytes;
  static constexpr uint32_t kFixed = 4;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size < kFixed) return false;
    memcpy(&ticks, payload + 0, 4);
    output = payload + kFixed;
    output_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &ticks, 4);
    return kFixed + output_bytes;
  }
};

// Chooses the members: bit i (least significant first) of the bitmap is slot i.
struct SelectRequest {
  uint8_t* bitmap;  // u8[], unaligned, inside the frame
  uint32_t bitmap_bytes;
  static constexpr uint32_t kFixed = 0;
  bool Read(uint8_t* payload, uint32_t size) {
    bitmap = payload + kFixed;
    bitmap_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* /*payload*/) const {
    return kFixed + bitmap_bytes;
  }
};
struct SelectResponse {
  uint16_t members;
  static constexpr uint32_t kFixed = 2;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&members, payload + 0, 2);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &members, 2);
    return kFixed;
  }
};

// Goes back to the base network and sets how to train; fields are the settings, off is always 0.
struct BeginRequest {
  float learning_rate;
  uint16_t batch;
  float clip_norm;
  float label_smoothing;
  uint64_t seed;
  uint8_t trained;
  uint8_t optimizer;
  float momentum;
  float beta2;
  uint8_t schedule;
  uint16_t schedule_epochs;
  float l2;
  float dropout;
  float mixup;
  float confidence_penalty;
  float focal_loss;
  float relax_loss;
  float base_pull;
  uint8_t weight_bits;
  float prune;
  uint16_t compress_after;
  uint8_t holdout;
  uint16_t patience;
  uint8_t heads;
  uint8_t left_out;
  uint16_t teacher_epochs;
  float teacher_temperature;
  uint16_t references;
  float jitter;
  float scaling;
  float rotation;
  uint16_t shift;
  float noise_multiplier;
  uint16_t expected_members;
  uint8_t shaped;
  float adversary;
  float adversary_rate;
  float mmd;
  float stacking;
  uint8_t screen;
  static constexpr uint32_t kFixed = 121;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&learning_rate, payload + 0, 4);
    memcpy(&batch, payload + 4, 2);
    memcpy(&clip_norm, payload + 6, 4);
    memcpy(&label_smoothing, payload + 10, 4);
    memcpy(&seed, payload + 14, 8);
    memcpy(&trained, payload + 22, 1);
    memcpy(&optimizer, payload + 23, 1);
    memcpy(&momentum, payload + 24, 4);
    memcpy(&beta2, payload + 28, 4);
    memcpy(&schedule, payload + 32, 1);
    memcpy(&schedule_epochs, payload + 33, 2);
    memcpy(&l2, payload + 35, 4);
    memcpy(&dropout, payload + 39, 4);
    memcpy(&mixup, payload + 43, 4);
    memcpy(&confidence_penalty, payload + 47, 4);
    memcpy(&focal_loss, payload + 51, 4);
    memcpy(&relax_loss, payload + 55, 4);
    memcpy(&base_pull, payload + 59, 4);
    memcpy(&weight_bits, payload + 63, 1);
    memcpy(&prune, payload + 64, 4);
    memcpy(&compress_after, payload + 68, 2);
    memcpy(&holdout, payload + 70, 1);
    memcpy(&patience, payload + 71, 2);
    memcpy(&heads, payload + 73, 1);
    memcpy(&left_out, payload + 74, 1);
    memcpy(&teacher_epochs, payload + 75, 2);
    memcpy(&teacher_temperature, payload + 77, 4);
    memcpy(&references, payload + 81, 2);
    memcpy(&jitter, payload + 83, 4);
    memcpy(&scaling, payload + 87, 4);
    memcpy(&rotation, payload + 91, 4);
    memcpy(&shift, payload + 95, 2);
    memcpy(&noise_multiplier, payload + 97, 4);
    memcpy(&expected_members, payload + 101, 2);
    memcpy(&shaped, payload + 103, 1);
    memcpy(&adversary, payload + 104, 4);
    memcpy(&adversary_rate, payload + 108, 4);
    memcpy(&mmd, payload + 112, 4);
    memcpy(&stacking, payload + 116, 4);
    memcpy(&screen, payload + 120, 1);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &learning_rate, 4);
    memcpy(payload + 4, &batch, 2);
    memcpy(payload + 6, &clip_norm, 4);
    memcpy(payload + 10, &label_smoothing, 4);
    memcpy(payload + 14, &seed, 8);
    memcpy(payload + 22, &trained, 1);
    memcpy(payload + 23, &optimizer, 1);
    memcpy(payload + 24, &momentum, 4);
    memcpy(payload + 28, &beta2, 4);
    memcpy(payload + 32, &schedule, 1);
    memcpy(payload + 33, &schedule_epochs, 2);
    memcpy(payload + 35, &l2, 4);
    memcpy(payload + 39, &dropout, 4);
    memcpy(payload + 43, &mixup, 4);
    memcpy(payload + 47, &confidence_penalty, 4);
    memcpy(payload + 51, &focal_loss, 4);
    memcpy(payload + 55, &relax_loss, 4);
    memcpy(payload + 59, &base_pull, 4);
    memcpy(payload + 63, &weight_bits, 1);
    memcpy(payload + 64, &prune, 4);
    memcpy(payload + 68, &compress_after, 2);
    memcpy(payload + 70, &holdout, 1);
    memcpy(payload + 71, &patience, 2);
    memcpy(payload + 73, &heads, 1);
    memcpy(payload + 74, &left_out, 1);
    memcpy(payload + 75, &teacher_epochs, 2);
    memcpy(payload + 77, &teacher_temperature, 4);
    memcpy(payload + 81, &references, 2);
    memcpy(payload + 83, &jitter, 4);
    memcpy(payload + 87, &scaling, 4);
    memcpy(payload + 91, &rotation, 4);
    memcpy(payload + 95, &shift, 2);
    memcpy(payload + 97, &noise_multiplier, 4);
    memcpy(payload + 101, &expected_members, 2);
    memcpy(payload + 103, &shaped, 1);
    memcpy(payload + 104, &adversary, 4);
    memcpy(payload + 108, &adversary_rate, 4);
    memcpy(payload + 112, &mmd, 4);
    memcpy(payload + 116, &stacking, 4);
    memcpy(payload + 120, &screen, 1);
    return kFixed;
  }
};
struct BeginResponse {
  uint64_t tail_hash;
  uint32_t trained;
  uint32_t workspace;
  uint16_t capacity;
  static constexpr uint32_t kFixed = 18;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&tail_hash, payload + 0, 8);
    memcpy(&trained, payload + 8, 4);
    memcpy(&workspace, payload + 12, 4);
    memcpy(&capacity, payload + 16, 2);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &tail_hash, 8);
    memcpy(payload + 8, &trained, 4);
    memcpy(payload + 12, &workspace, 4);
    memcpy(payload + 16, &capacity, 2);
    return kFixed;
  }
};

// Trains whole epochs over the members; refused unless the board stands at `first_epoch`. Once early stopping has ended the training, epochs are counted only.
struct TrainRequest {
  uint32_t first_epoch;
  uint16_t epochs;
  static constexpr uint32_t kFixed = 6;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&first_epoch, payload + 0, 4);
    memcpy(&epochs, payload + 4, 2);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &first_epoch, 4);
    memcpy(payload + 4, &epochs, 2);
    return kFixed;
  }
};
struct TrainResponse {
  uint32_t epoch;
  uint64_t tail_hash;
  float loss;
  float held_out;
  uint32_t steps;
  uint32_t clipped;
  uint8_t stopped;
  uint64_t ticks;
  static constexpr uint32_t kFixed = 37;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&epoch, payload + 0, 4);
    memcpy(&tail_hash, payload + 4, 8);
    memcpy(&loss, payload + 12, 4);
    memcpy(&held_out, payload + 16, 4);
    memcpy(&steps, payload + 20, 4);
    memcpy(&clipped, payload + 24, 4);
    memcpy(&stopped, payload + 28, 1);
    memcpy(&ticks, payload + 29, 8);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &epoch, 4);
    memcpy(payload + 4, &tail_hash, 8);
    memcpy(payload + 12, &loss, 4);
    memcpy(payload + 16, &held_out, 4);
    memcpy(payload + 20, &steps, 4);
    memcpy(payload + 24, &clipped, 4);
    memcpy(payload + 28, &stopped, 1);
    memcpy(payload + 29, &ticks, 8);
    return kFixed;
  }
};

// Answers for stored windows under a policy, one after another in `answers`. `levels`: of rounding, or how many classes TOPK shows.
struct QueryRequest {
  uint8_t policy;
  uint16_t levels;
  uint8_t* slots;  // u16[], unaligned, inside the frame
  uint32_t slots_bytes;
  static constexpr uint32_t kFixed = 3;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size < kFixed || (size - kFixed) % 2 != 0) return false;
    memcpy(&policy, payload + 0, 1);
    memcpy(&levels, payload + 1, 2);
    slots = payload + kFixed;
    slots_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &policy, 1);
    memcpy(payload + 1, &levels, 2);
    return kFixed + slots_bytes;
  }
};
struct QueryResponse {
  uint64_t ticks;
  uint8_t* answers;  // u8[], unaligned, inside the frame
  uint32_t answers_bytes;
  static constexpr uint32_t kFixed = 8;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size < kFixed) return false;
    memcpy(&ticks, payload + 0, 8);
    answers = payload + kFixed;
    answers_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &ticks, 8);
    return kFixed + answers_bytes;
  }
};

// Answer for one fresh int8 window under a policy, of a complete model, too. Empty: for the window that came in parts.
struct AskRequest {
  uint8_t policy;
  uint16_t levels;
  uint8_t* window;  // u8[], unaligned, inside the frame
  uint32_t window_bytes;
  static constexpr uint32_t kFixed = 3;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size < kFixed) return false;
    memcpy(&policy, payload + 0, 1);
    memcpy(&levels, payload + 1, 2);
    window = payload + kFixed;
    window_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &policy, 1);
    memcpy(payload + 1, &levels, 2);
    return kFixed + window_bytes;
  }
};
struct AskResponse {
  uint32_t ticks;
  uint8_t* answer;  // u8[], unaligned, inside the frame
  uint32_t answer_bytes;
  static constexpr uint32_t kFixed = 4;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size < kFixed) return false;
    memcpy(&ticks, payload + 0, 4);
    answer = payload + kFixed;
    answer_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &ticks, 4);
    return kFixed + answer_bytes;
  }
};

// Reads what is trained: layer by layer, float32 weights (unless biases only), then biases.
struct TailRequest {
  uint32_t first;
  uint16_t count;
  static constexpr uint32_t kFixed = 6;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&first, payload + 0, 4);
    memcpy(&count, payload + 4, 2);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &first, 4);
    memcpy(payload + 4, &count, 2);
    return kFixed;
  }
};
struct TailResponse {
  uint8_t* values;  // f32[], unaligned, inside the frame
  uint32_t values_bytes;
  static constexpr uint32_t kFixed = 0;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size < kFixed || (size - kFixed) % 4 != 0) return false;
    values = payload + kFixed;
    values_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* /*payload*/) const {
    return kFixed + values_bytes;
  }
};

// Returns its data; measures the line.
struct EchoRequest {
  uint8_t* data;  // u8[], unaligned, inside the frame
  uint32_t data_bytes;
  static constexpr uint32_t kFixed = 0;
  bool Read(uint8_t* payload, uint32_t size) {
    data = payload + kFixed;
    data_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* /*payload*/) const {
    return kFixed + data_bytes;
  }
};
struct EchoResponse {
  uint8_t* data;  // u8[], unaligned, inside the frame
  uint32_t data_bytes;
  static constexpr uint32_t kFixed = 0;
  bool Read(uint8_t* payload, uint32_t size) {
    data = payload + kFixed;
    data_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* /*payload*/) const {
    return kFixed + data_bytes;
  }
};

// Chooses the first trained layer and whether the store keeps whole windows (raw, for augmentation); empties the store. A board starts with the last layer, not raw.
struct LayoutRequest {
  uint8_t first_layer;
  uint8_t raw;
  static constexpr uint32_t kFixed = 2;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&first_layer, payload + 0, 1);
    memcpy(&raw, payload + 1, 1);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &first_layer, 1);
    memcpy(payload + 1, &raw, 1);
    return kFixed;
  }
};
struct LayoutResponse {
  uint32_t slot_bytes;
  uint16_t capacity;
  uint32_t trained;
  uint32_t workspace;
  static constexpr uint32_t kFixed = 14;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&slot_bytes, payload + 0, 4);
    memcpy(&capacity, payload + 4, 2);
    memcpy(&trained, payload + 6, 4);
    memcpy(&workspace, payload + 10, 4);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &slot_bytes, 4);
    memcpy(payload + 4, &capacity, 2);
    memcpy(payload + 6, &trained, 4);
    memcpy(payload + 10, &workspace, 4);
    return kFixed;
  }
};

// A part of a window that fits in no frame, from byte `offset` on; parts follow each other, and the request that takes the window follows the last. Any other request forgets them. `came`: bytes of the window that are there.
struct PartRequest {
  uint32_t offset;
  uint8_t* data;  // u8[], unaligned, inside the frame
  uint32_t data_bytes;
  static constexpr uint32_t kFixed = 4;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size < kFixed) return false;
    memcpy(&offset, payload + 0, 4);
    data = payload + kFixed;
    data_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &offset, 4);
    return kFixed + data_bytes;
  }
};
struct PartResponse {
  uint32_t came;
  static constexpr uint32_t kFixed = 4;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&came, payload + 0, 4);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &came, 4);
    return kFixed;
  }
};

// Takes the shared tail's parameters from `first` on, laid out as TAIL gives them, in order, behind BEGIN: training starts there instead of at the base network. `came`: parameters that are there.
struct ShareRequest {
  uint32_t first;
  uint8_t* values;  // f32[], unaligned, inside the frame
  uint32_t values_bytes;
  static constexpr uint32_t kFixed = 4;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size < kFixed || (size - kFixed) % 4 != 0) return false;
    memcpy(&first, payload + 0, 4);
    values = payload + kFixed;
    values_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &first, 4);
    return kFixed + values_bytes;
  }
};
struct ShareResponse {
  uint32_t came;
  static constexpr uint32_t kFixed = 4;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&came, payload + 0, 4);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &came, 4);
    return kFixed;
  }
};

// Makes the update of what was trained since SHARE: the difference, clipped to `clip_norm`, in whole units of clip_norm / units, plus discrete Gaussian noise of `noise` clip norms. The shared tail is gone then. A release build tells no norm and no ticks.
struct UpdateRequest {
  float clip_norm;
  uint32_t units;
  float noise;
  uint8_t width;
  uint8_t masked;
  static constexpr uint32_t kFixed = 14;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&clip_norm, payload + 0, 4);
    memcpy(&units, payload + 4, 4);
    memcpy(&noise, payload + 8, 4);
    memcpy(&width, payload + 12, 1);
    memcpy(&masked, payload + 13, 1);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &clip_norm, 4);
    memcpy(payload + 4, &units, 4);
    memcpy(payload + 8, &noise, 4);
    memcpy(payload + 12, &width, 1);
    memcpy(payload + 13, &masked, 1);
    return kFixed;
  }
};
struct UpdateResponse {
  uint32_t count;
  float norm;
  uint8_t clipped;
  uint64_t ticks;
  static constexpr uint32_t kFixed = 17;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&count, payload + 0, 4);
    memcpy(&norm, payload + 4, 4);
    memcpy(&clipped, payload + 8, 1);
    memcpy(&ticks, payload + 9, 8);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &count, 4);
    memcpy(payload + 4, &norm, 4);
    memcpy(payload + 8, &clipped, 1);
    memcpy(payload + 9, &ticks, 8);
    return kFixed;
  }
};

// Reads the update that was made: of `count` values from `first` on the lowest `width` bytes each, two's complement.
struct GiveRequest {
  uint32_t first;
  uint16_t count;
  static constexpr uint32_t kFixed = 6;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&first, payload + 0, 4);
    memcpy(&count, payload + 4, 2);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &first, 4);
    memcpy(payload + 4, &count, 2);
    return kFixed;
  }
};
struct GiveResponse {
  uint8_t* values;  // u8[], unaligned, inside the frame
  uint32_t values_bytes;
  static constexpr uint32_t kFixed = 0;
  bool Read(uint8_t* payload, uint32_t size) {
    values = payload + kFixed;
    values_bytes = size - kFixed;
    return true;
  }
  // The open array is filled in place by the caller, behind the fixed fields.
  uint32_t Write(uint8_t* /*payload*/) const {
    return kFixed + values_bytes;
  }
};

// Draws a device's keys for the masks of one update, behind BEGIN, and forgets its peers. `number`: its own among all devices; `threshold`: shares that give its secrets back. An audit build draws from the training's seed.
struct MaskRequest {
  uint32_t round;
  uint16_t number;
  uint8_t threshold;
  static constexpr uint32_t kFixed = 7;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&round, payload + 0, 4);
    memcpy(&number, payload + 4, 2);
    memcpy(&threshold, payload + 6, 1);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &round, 4);
    memcpy(payload + 4, &number, 2);
    memcpy(payload + 6, &threshold, 1);
    return kFixed;
  }
};
struct MaskResponse {
  char mask_key[32];
  char share_key[32];
  uint64_t ticks;
  static constexpr uint32_t kFixed = 72;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(mask_key, payload + 0, 32);
    memcpy(share_key, payload + 32, 32);
    memcpy(&ticks, payload + 64, 8);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, mask_key, 32);
    memcpy(payload + 32, share_key, 32);
    memcpy(payload + 64, &ticks, 8);
    return kFixed;
  }
};

// Announces a peer, whose mask goes into the update, and seals shares of both secrets for it: that of the key behind the masks, then that of the device's own mask. The n-th peer's shares are those at n, counted from 1.
struct PeerRequest {
  uint16_t number;
  char mask_key[32];
  char share_key[32];
  static constexpr uint32_t kFixed = 66;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&number, payload + 0, 2);
    memcpy(mask_key, payload + 2, 32);
    memcpy(share_key, payload + 34, 32);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &number, 2);
    memcpy(payload + 2, mask_key, 32);
    memcpy(payload + 34, share_key, 32);
    return kFixed;
  }
};
struct PeerResponse {
  char sealed[80];
  uint64_t ticks;
  static constexpr uint32_t kFixed = 88;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(sealed, payload + 0, 80);
    memcpy(&ticks, payload + 80, 8);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, sealed, 80);
    memcpy(payload + 80, &ticks, 8);
    return kFixed;
  }
};

// Opens what the peer announced as the `peer`-th, from 0, sealed for this device, and gives one of the two shares: of the key behind the masks (lost: 1), or of the peer's own mask (lost: 0).
struct RevealRequest {
  uint8_t peer;
  uint8_t lost;
  char sealed[80];
  static constexpr uint32_t kFixed = 82;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&peer, payload + 0, 1);
    memcpy(&lost, payload + 1, 1);
    memcpy(sealed, payload + 2, 80);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &peer, 1);
    memcpy(payload + 1, &lost, 1);
    memcpy(payload + 2, sealed, 80);
    return kFixed;
  }
};
struct RevealResponse {
  char share[32];
  static constexpr uint32_t kFixed = 32;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(share, payload + 0, 32);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, share, 32);
    return kFixed;
  }
};

// How answers are guarded until the next GUARD or HELLO; fields are the settings, off is always 0. A release build takes them from its bundle only. `answers_left`: before they are refused; 2^32 - 1: no limit.
struct GuardRequest {
  float temperature;
  uint8_t noise_law;
  float noise;
  float noise_bound;
  uint32_t answers;
  uint8_t classifier;
  float distortion;
  uint8_t swap;
  uint8_t watch;
  float watch_near;
  float watch_spread;
  uint8_t watch_refuse;
  static constexpr uint32_t kFixed = 33;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&temperature, payload + 0, 4);
    memcpy(&noise_law, payload + 4, 1);
    memcpy(&noise, payload + 5, 4);
    memcpy(&noise_bound, payload + 9, 4);
    memcpy(&answers, payload + 13, 4);
    memcpy(&classifier, payload + 17, 1);
    memcpy(&distortion, payload + 18, 4);
    memcpy(&swap, payload + 22, 1);
    memcpy(&watch, payload + 23, 1);
    memcpy(&watch_near, payload + 24, 4);
    memcpy(&watch_spread, payload + 28, 4);
    memcpy(&watch_refuse, payload + 32, 1);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &temperature, 4);
    memcpy(payload + 4, &noise_law, 1);
    memcpy(payload + 5, &noise, 4);
    memcpy(payload + 9, &noise_bound, 4);
    memcpy(payload + 13, &answers, 4);
    memcpy(payload + 17, &classifier, 1);
    memcpy(payload + 18, &distortion, 4);
    memcpy(payload + 22, &swap, 1);
    memcpy(payload + 23, &watch, 1);
    memcpy(payload + 24, &watch_near, 4);
    memcpy(payload + 28, &watch_spread, 4);
    memcpy(payload + 32, &watch_refuse, 1);
    return kFixed;
  }
};
struct GuardResponse {
  uint32_t answers_left;
  static constexpr uint32_t kFixed = 4;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&answers_left, payload + 0, 4);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &answers_left, 4);
    return kFixed;
  }
};

// Board to host only, as a response without a status: the board computes on request `running`; at least four times in a second of its ticks.
struct BusyResponse {
  uint16_t running;
  static constexpr uint32_t kFixed = 2;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&running, payload + 0, 2);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &running, 2);
    return kFixed;
  }
};

// Board to host only, as a response without a status: a frame was damaged or missing; the board waits for request `expected`.
struct ResendResponse {
  uint16_t expected;
  static constexpr uint32_t kFixed = 2;
  bool Read(uint8_t* payload, uint32_t size) {
    if (size != kFixed) return false;
    memcpy(&expected, payload + 0, 2);
    return true;
  }
  uint32_t Write(uint8_t* payload) const {
    memcpy(payload + 0, &expected, 2);
    return kFixed;
  }
};

}  // namespace tinymia
