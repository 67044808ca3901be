#include "session.h"

#include <string.h>

#include "hal.h"
#include "policy.h"

namespace tinymia {

// Its own symbol, so that a test can make this very firmware speak an older version.
extern "C" const volatile uint16_t tinymia_protocol_version = kProtocolVersion;

uint32_t Session::Reply::Fail(Status status, uint32_t a, uint32_t b) const {
  at[0] = static_cast<uint8_t>(status);
  memcpy(at + 1, &a, sizeof a);
  memcpy(at + 5, &b, sizeof b);
  return 9;
}

void Session::Load(const uint8_t* data, uint32_t room) { refusal_ = Plan(data, room); }

Refusal Session::Plan(const uint8_t* data, uint32_t room) {
  arena_.Reset();
  Refusal refusal = ParseBundle(data, room, &bundle_);
  if (refusal.status != Status::kOk) return refusal;
  refusal.status = interpreter_.Load(bundle_.model, bundle_.model_size, &arena_);
  model_arena_ = arena_.used();
  if (refusal.status == Status::kArenaTooSmall)
    return {refusal.status, arena_.used(), arena_.size()};
  if (refusal.status != Status::kOk) return refusal;
  if (bundle_.tail == nullptr) return {};

  const Interpreter::TensorInfo& out = interpreter_.output_info();
  if (static_cast<uint32_t>(out.bytes) != bundle_.dim) {
    return {Status::kTailMismatch, bundle_.dim, static_cast<uint32_t>(out.bytes)};
  }
  head_.Plan(bundle_.tail, bundle_.classes, bundle_.dim, out.scale, out.zero_point, &arena_);
  answer_ = arena_.AllocArray<float>(bundle_.classes);
  tail_arena_ = arena_.used() - model_arena_;
  if (!trainer_.Plan(&head_, &arena_))
    return {Status::kArenaTooSmall, arena_.used(), arena_.size()};
  trainer_.Clear();
  return {};
}

uint32_t Session::Execute(void* context, uint8_t type, uint8_t* payload, uint32_t size,
                          uint8_t* response) {
  return static_cast<Session*>(context)->Dispatch(static_cast<Type>(type), payload, size,
                                                  {response});
}

namespace {

static_assert(
    static_cast<uint8_t>(hal::TickSource::kCycles) == static_cast<uint8_t>(TickSource::kCycles) &&
        static_cast<uint8_t>(hal::TickSource::kTimer) == static_cast<uint8_t>(TickSource::kTimer) &&
        static_cast<uint8_t>(hal::TickSource::kHost) == static_cast<uint8_t>(TickSource::kHostNs),
    "the board layer's tick sources are the protocol's");

template <typename Request>
bool Parse(Request* request, uint8_t* payload, uint32_t size) {
  return request->Read(payload, size);
}

}  // namespace

uint32_t Session::Dispatch(Type type, uint8_t* payload, uint32_t size, Reply reply) {
  const bool needs_bundle = type != Type::kHello && type != Type::kEcho;
  if (needs_bundle && refusal_.status != Status::kOk) return reply.Fail(refusal_);
  const bool needs_tail = needs_bundle && type != Type::kInfo && type != Type::kInfer;
  if (needs_tail && bundle_.tail == nullptr) return reply.Fail(Status::kNoTail);

#define TINYMIA_SERVE(NAME, METHOD)             \
  case Type::k##NAME: {                         \
    NAME##Request request;                      \
    if (!Parse(&request, payload, size)) break; \
    return METHOD(request, reply);              \
  }
  switch (type) {
    case Type::kHello: {
      HelloRequest request;
      if (size < HelloRequest::kFixed || !Parse(&request, payload, HelloRequest::kFixed)) break;
      return Hello(request, reply);
    }
    case Type::kInfo:
      if (size != 0) break;
      return Info(reply);
    case Type::kState:
      if (size != 0) break;
      return State(reply);
    case Type::kClear:
      if (size != 0) break;
      trainer_.Clear();
      return reply.OkEmpty();
    case Type::kEcho:
      if (size > Reply::Room(0)) break;
      memcpy(reply.Open(0), payload, size);
      return reply.OkEmpty() + size;
      TINYMIA_SERVE(Put, Put)
      TINYMIA_SERVE(Infer, Infer)
      TINYMIA_SERVE(Select, Select)
      TINYMIA_SERVE(Begin, Begin)
      TINYMIA_SERVE(Train, Train)
      TINYMIA_SERVE(Query, Query)
      TINYMIA_SERVE(Ask, Ask)
      TINYMIA_SERVE(Tail, ReadTail)
    default:
      break;
  }
#undef TINYMIA_SERVE
  return reply.Fail(Status::kBadRequest, static_cast<uint32_t>(type), size);
}

uint32_t Session::Hello(HelloRequest request, Reply reply) const {
  HelloResponse response = {};
  response.magic = kProtocolMagic;
  response.nonce = request.nonce;
  response.version = tinymia_protocol_version;
  response.max_payload = kMaxPayload;
  response.window = kWindow;
  response.tick_source = static_cast<uint8_t>(hal::GetTickSource());
  memcpy(response.build_id, hal::BuildId(), sizeof response.build_id);
  strncpy(response.board, hal::BoardName(), sizeof response.board - 1);
  strncpy(response.firmware, kFirmwareVersion, sizeof response.firmware - 1);
  response.bundle_status = static_cast<uint8_t>(refusal_.status);
  response.bundle_a = refusal_.a;
  response.bundle_b = refusal_.b;
  const hal::FaultRecord fault = hal::LastFault();
  response.fault_cause = fault.cause;
  response.fault_pc = fault.pc;
  response.fault_status = fault.status;
  return reply.Ok(response);
}

uint32_t Session::Info(Reply reply) const {
  const Interpreter::TensorInfo& in = interpreter_.input_info();
  const Interpreter::TensorInfo& out = interpreter_.output_info();
  InfoResponse response = {};
  response.bundle_crc = bundle_.crc;
  response.bundle_size = bundle_.size;
  response.input_bytes = static_cast<uint32_t>(in.bytes);
  response.input_scale = in.scale;
  response.input_zero_point = in.zero_point;
  response.output_bytes = static_cast<uint32_t>(out.bytes);
  response.output_scale = out.scale;
  response.output_zero_point = out.zero_point;
  response.has_tail = bundle_.tail != nullptr ? 1 : 0;
  response.classes = static_cast<uint16_t>(response.has_tail != 0 ? bundle_.classes : out.bytes);
  response.arena_used = arena_.used();
  response.arena_size = arena_.size();
  response.model_arena = model_arena_;
  response.tail_arena = tail_arena_;
  response.store_arena = arena_.used() - model_arena_ - tail_arena_;
  response.stack_used = hal::StackHighWater();
  response.stack_size = hal::StackSize();
  response.store_capacity = static_cast<uint16_t>(trainer_.capacity());
  response.rx_overruns = hal::InputOverruns();
  return reply.Ok(response);
}

uint32_t Session::State(Reply reply) const {
  StateResponse response = {};
  response.epoch = trainer_.epoch();
  response.tail_hash = trainer_.TailHash();
  response.stored = static_cast<uint16_t>(trainer_.stored());
  response.store_hash = trainer_.StoreHash();
  response.members = static_cast<uint16_t>(trainer_.members());
  response.settings_hash = trainer_.SettingsHash();
  return reply.Ok(response);
}

uint32_t Session::Put(PutRequest request, Reply reply) {
  const uint32_t window = static_cast<uint32_t>(interpreter_.input_info().bytes);
  const uint32_t count = request.count;
  // Divided, not multiplied: a large count of large windows must not wrap.
  const uint32_t each = count == 0 ? 0 : request.data_bytes / count;  // a label and a window
  if (count == 0 || each != window + 1 || request.data_bytes % count != 0) {
    return reply.Fail(Status::kBadWindow, each == 0 ? 0 : each - 1, window);
  }
  // A gap before the first slot would leave slots that were never filled.
  if (request.slot > trainer_.stored()) {
    return reply.Fail(Status::kBadSlot, request.slot, trainer_.stored());
  }
  if (request.slot + count > trainer_.capacity()) {
    return reply.Fail(Status::kBadSlot, request.slot + count - 1, trainer_.capacity());
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (request.data[i] >= bundle_.classes) {
      return reply.Fail(Status::kBadLabel, request.data[i], bundle_.classes);
    }
  }
  const uint32_t start = hal::Ticks();
  for (uint32_t i = 0; i < count; ++i) {
    memcpy(interpreter_.input(), request.data + count + i * window, window);
    interpreter_.Invoke();
    memcpy(trainer_.slot(request.slot + i), interpreter_.output(), bundle_.dim);
    trainer_.set_label(request.slot + i, request.data[i]);
  }
  trainer_.Extend(request.slot + count);
  PutResponse response = {};
  response.stored = static_cast<uint16_t>(trainer_.stored());
  response.ticks = hal::Ticks() - start;
  return reply.Ok(response);
}

uint32_t Session::Infer(InferRequest request, Reply reply) {
  const uint32_t window = static_cast<uint32_t>(interpreter_.input_info().bytes);
  if (request.window_bytes != window)
    return reply.Fail(Status::kBadWindow, request.window_bytes, window);
  InferResponse response = {};
  response.output_bytes = static_cast<uint32_t>(interpreter_.output_info().bytes);
  if (response.output_bytes > Reply::Room(InferResponse::kFixed)) {
    return reply.Fail(Status::kBadRequest, response.output_bytes, kMaxPayload);
  }
  memcpy(interpreter_.input(), request.window, window);
  const uint32_t start = hal::Ticks();
  interpreter_.Invoke();
  response.ticks = hal::Ticks() - start;
  memcpy(reply.Open(InferResponse::kFixed), interpreter_.output(), response.output_bytes);
  return reply.Ok(response);
}

uint32_t Session::Select(SelectRequest request, Reply reply) {
  for (uint32_t i = 0; i < request.bitmap_bytes * 8; ++i) {
    const bool chosen = (request.bitmap[i / 8] >> (i % 8) & 1) != 0;
    if (chosen && i >= trainer_.stored()) return reply.Fail(Status::kBadSlot, i, trainer_.stored());
  }
  const uint32_t most = trainer_.capacity() / 8;
  trainer_.Select(request.bitmap, request.bitmap_bytes < most ? request.bitmap_bytes : most);
  SelectResponse response = {};
  response.members = static_cast<uint16_t>(trainer_.members());
  return reply.Ok(response);
}

uint32_t Session::Begin(BeginRequest request, Reply reply) {
  TrainSettings settings;
  settings.learning_rate = request.learning_rate;
  settings.batch = request.batch;
  settings.clip_norm = request.clip_norm;
  settings.label_smoothing = request.label_smoothing;
  settings.seed = request.seed;
  const uint32_t wrong = CheckSettings(settings);
  if (wrong != 0) return reply.Fail(Status::kBadSetting, wrong);
  trainer_.Begin(settings);
  BeginResponse response = {};
  response.tail_hash = trainer_.TailHash();
  return reply.Ok(response);
}

uint32_t Session::Train(TrainRequest request, Reply reply) {
  if (trainer_.members() == 0) return reply.Fail(Status::kNoMembers);
  if (request.first_epoch != trainer_.epoch()) {
    return reply.Fail(Status::kStepMismatch, request.first_epoch, trainer_.epoch());
  }
  const uint32_t start = hal::Ticks();
  const Trainer::Result result = trainer_.Train(request.epochs);
  TrainResponse response = {};
  response.ticks = hal::Ticks() - start;
  response.epoch = trainer_.epoch();
  response.tail_hash = trainer_.TailHash();
  response.loss = result.loss;
  response.steps = result.steps;
  response.clipped = result.clipped;
  return reply.Ok(response);
}

Refusal Session::CheckPolicy(uint8_t policy, uint16_t levels) const {
  const bool known = policy <= static_cast<uint8_t>(Policy::kLabel);
  if (!known || (policy == static_cast<uint8_t>(Policy::kRounded) && levels == 0)) {
    return {Status::kBadPolicy, policy, levels};
  }
  return {};
}

uint32_t Session::AnswerBytes(uint8_t policy) const {
  switch (static_cast<Policy>(policy)) {
    case Policy::kFull:
      return bundle_.classes * 4;
    case Policy::kRounded:
      return bundle_.classes * 2;
    case Policy::kTop1:
      return 5;
    default:
      return 1;
  }
}

void Session::WriteAnswer(const int8_t* embedding, uint8_t policy, uint16_t levels, uint8_t* out) {
  head_.Answer(embedding, answer_);
  switch (static_cast<Policy>(policy)) {
    case Policy::kFull:
      WriteFull(answer_, bundle_.classes, out);
      break;
    case Policy::kRounded:
      WriteRounded(answer_, bundle_.classes, levels, out);
      break;
    case Policy::kTop1:
      WriteTop1(answer_, bundle_.classes, out);
      break;
    default:
      WriteLabel(answer_, bundle_.classes, out);
  }
}

uint32_t Session::Query(QueryRequest request, Reply reply) {
  const Refusal refusal = CheckPolicy(request.policy, request.levels);
  if (refusal.status != Status::kOk) return reply.Fail(refusal);
  const uint32_t count = request.slots_bytes / 2;
  const uint32_t each = AnswerBytes(request.policy);
  if (count * each > Reply::Room(QueryResponse::kFixed)) {
    return reply.Fail(Status::kBadRequest, count * each, kMaxPayload);
  }
  QueryResponse response = {};
  response.answers_bytes = count * each;
  const uint32_t start = hal::Ticks();
  for (uint32_t i = 0; i < count; ++i) {
    uint16_t slot;
    memcpy(&slot, request.slots + 2 * i, sizeof slot);
    if (slot >= trainer_.stored()) return reply.Fail(Status::kBadSlot, slot, trainer_.stored());
    WriteAnswer(trainer_.slot(slot), request.policy, request.levels,
                reply.Open(QueryResponse::kFixed) + i * each);
  }
  response.ticks = hal::Ticks() - start;
  return reply.Ok(response);
}

uint32_t Session::Ask(AskRequest request, Reply reply) {
  const Refusal refusal = CheckPolicy(request.policy, request.levels);
  if (refusal.status != Status::kOk) return reply.Fail(refusal);
  const uint32_t window = static_cast<uint32_t>(interpreter_.input_info().bytes);
  if (request.window_bytes != window)
    return reply.Fail(Status::kBadWindow, request.window_bytes, window);
  AskResponse response = {};
  response.answer_bytes = AnswerBytes(request.policy);
  if (response.answer_bytes > Reply::Room(AskResponse::kFixed)) {
    return reply.Fail(Status::kBadRequest, response.answer_bytes, kMaxPayload);
  }
  memcpy(interpreter_.input(), request.window, window);
  const uint32_t start = hal::Ticks();
  interpreter_.Invoke();
  WriteAnswer(interpreter_.output(), request.policy, request.levels,
              reply.Open(AskResponse::kFixed));
  response.ticks = hal::Ticks() - start;
  return reply.Ok(response);
}

uint32_t Session::ReadTail(TailRequest request, Reply reply) const {
  const uint32_t all = head_.parameter_count();
  if (request.first > all || request.count > all - request.first ||
      request.count * 4u > Reply::Room(TailResponse::kFixed)) {
    return reply.Fail(Status::kBadRequest, request.first + request.count, all);
  }
  TailResponse response = {};
  response.values_bytes = request.count * 4u;
  memcpy(reply.Open(TailResponse::kFixed), head_.parameters() + request.first,
         response.values_bytes);
  return reply.Ok(response);
}

}  // namespace tinymia
