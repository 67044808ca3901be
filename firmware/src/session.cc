#include "session.h"

#include <string.h>

#include "hal.h"
#include "release.h"

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
  const Status loaded =
      engine_.Load(bundle_.model, bundle_.model_size, &arena_, bundle_.graph.count != 0);
  model_arena_ = arena_.used();
  if (loaded == Status::kArenaTooSmall) return {loaded, arena_.used(), arena_.size()};
  if (loaded != Status::kOk) return engine_.refusal();
  if (engine_.input_count() != 1 || engine_.output_count() != 1) {
    return {Status::kModelEnds, engine_.input_count(), engine_.output_count()};
  }
  if (engine_.odd_end() != kNowhere) {
    return {Status::kModelUnsupportedType, kNowhere, engine_.odd_end()};
  }
  answer_ = arena_.AllocArray<float>(answers());
  guard_scratch_ = nullptr;
  guard_ = kRelease ? bundle_.guard : GuardSettings();
  const Refusal guarded = CheckGuard(guard_);
  if (guarded.status != Status::kOk) return guarded;
  detector_.Set(guard_);
  if (kGuards && bundle_.graph.count != 0) {
    guard_scratch_ = arena_.AllocArray<float>(answers() + GuardScratch(answers()));
  }
  arena_.Alloc(0, 8);
  fixed_ = arena_.used();
  if (fixed_ > arena_.size()) return {Status::kArenaTooSmall, fixed_, arena_.size()};
  if (bundle_.graph.count == 0) return {};
  if (!kTrains) return {Status::kTrainingLeftOut, bundle_.graph.count - 1, bundle_.graph.count};
  return PlanLayout(bundle_.graph.count - 1, false);
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

namespace {

// What would tell embeddings, weights, stored windows, or answers without their guard.
bool TellsAll(Type type) {
  return type == Type::kInfer || type == Type::kQuery || type == Type::kTail ||
         type == Type::kGuard;
}

constexpr bool NeedsBundle(Type type) { return type != Type::kHello && type != Type::kEcho; }

// What needs layers that are trained, or are in float.
constexpr bool NeedsTail(Type type) {
  return NeedsBundle(type) && type != Type::kInfo && type != Type::kInfer && type != Type::kAsk &&
         type != Type::kPart;
}

constexpr bool OfUpdates(Type type) {
  return type == Type::kShare || type == Type::kUpdate || type == Type::kGive ||
         type == Type::kMask || type == Type::kPeer || type == Type::kReveal;
}

}  // namespace

uint32_t Session::Dispatch(Type type, uint8_t* payload, uint32_t size, Reply reply) {
  came_ = parts_;
  parts_ = 0;
  if (NeedsBundle(type) && refusal_.status != Status::kOk) return reply.Fail(refusal_);
  if (kRelease && TellsAll(type)) {
    return reply.Fail(Status::kNotInRelease, static_cast<uint32_t>(type));
  }
  if (NeedsTail(type) && !has_tail()) return reply.Fail(Status::kNoTail);
  if (!kUpdates && OfUpdates(type)) return reply.Fail(Status::kUpdatesLeftOut);

#define TINYMIA_SERVE(NAME, METHOD)                   \
  case Type::k##NAME: {                               \
    if (NeedsTail(Type::k##NAME) && !kTrains) break;  \
    if (OfUpdates(Type::k##NAME) && !kUpdates) break; \
    NAME##Request request;                            \
    if (!Parse(&request, payload, size)) break;       \
    return METHOD(request, reply);                    \
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
      if (size != 0 || !kTrains) break;
      return State(reply);
    case Type::kClear:
      if (size != 0 || !kTrains) break;
      return Clear(reply);
    case Type::kEcho:
      if (size > Reply::Room(0)) break;
      memcpy(reply.Open(0), payload, size);
      return reply.OkEmpty() + size;
      TINYMIA_SERVE(Put, Put)
      TINYMIA_SERVE(Part, Part)
      TINYMIA_SERVE(Infer, Infer)
      TINYMIA_SERVE(Select, Select)
      TINYMIA_SERVE(Layout, Layout)
      TINYMIA_SERVE(Begin, Begin)
      TINYMIA_SERVE(Train, Train)
      TINYMIA_SERVE(Query, Query)
      TINYMIA_SERVE(Ask, Ask)
      TINYMIA_SERVE(Tail, ReadTail)
      TINYMIA_SERVE(Guard, Guard)
      TINYMIA_SERVE(Share, Share)
      TINYMIA_SERVE(Update, MakeUpdate)
      TINYMIA_SERVE(Give, Give)
      TINYMIA_SERVE(Mask, Mask)
      TINYMIA_SERVE(Peer, Peer)
      TINYMIA_SERVE(Reveal, Reveal)
    default:
      break;
  }
#undef TINYMIA_SERVE
  return reply.Fail(Status::kBadRequest, static_cast<uint32_t>(type), size);
}

namespace {

constexpr uint32_t kMostItems = 64;  // between two looks

}  // namespace

void Session::StartWork(uint32_t first_look) {
  said_busy_ = 0;
  look_every_ = until_look_ = first_look;
  watch_.Start();
}

uint32_t Session::LookAtWork() {
  constexpr uint32_t kBeatsPerSecond = 4;
  constexpr uint32_t kLongestBeat = 1u << 25;  // a simulator's second has many ticks
  const uint64_t before = watch_.ticks();
  const uint64_t now = watch_.Look();
  const uint32_t quarter = hal::TicksPerSecond() / kBeatsPerSecond;
  const uint32_t beat = quarter < kLongestBeat ? quarter : kLongestBeat;
  if (now - said_busy_ >= beat) {
    said_busy_ = now;
    if (busy_ != nullptr) busy_();
  }
  if (now - before > beat / 4) {
    look_every_ = look_every_ > 1 ? look_every_ / 2 : 1;
  } else if (now - before < beat / 16 && look_every_ < kMostItems) {
    look_every_ *= 2;
  }
  watch_.Skip();  // watching is no part of the work
  return look_every_;
}

uint32_t Session::Hello(HelloRequest request, Reply reply) {
  if (!kRelease) guard_ = GuardSettings();
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
  const Engine::TensorInfo& in = engine_.input_info();
  const Engine::TensorInfo& out = engine_.output_info();
  InfoResponse response = {};
  response.bundle_crc = bundle_.crc;
  response.bundle_size = bundle_.size;
  response.input_bytes = static_cast<uint32_t>(in.bytes);
  response.input_scale = in.scale;
  response.input_zero_point = in.zero_point;
  response.output_bytes = static_cast<uint32_t>(out.bytes);
  response.output_scale = out.scale;
  response.output_zero_point = out.zero_point;
  const Graph& graph = bundle_.graph;
  response.has_tail = has_tail() ? 1 : 0;
  response.classes = static_cast<uint16_t>(has_tail() ? graph.classes() : out.bytes);
  response.arena_size = arena_.size();
  response.model_arena = model_arena_;
  response.tail_arena = fixed_ - model_arena_ + workspace_;
  response.store_arena = has_tail() ? store_.BytesFor(store_.capacity()) : 0;
  response.arena_used = model_arena_ + response.tail_arena + response.store_arena;
  response.stack_used = hal::StackHighWater();
  response.stack_size = hal::StackSize();
  response.store_capacity = static_cast<uint16_t>(store_.capacity());
  response.rx_overruns = hal::InputOverruns();
  response.layers = static_cast<uint8_t>(graph.count);
  response.first_layer = static_cast<uint8_t>(first_layer_);
  response.raw = store_.raw() ? 1 : 0;
  response.slot_bytes = store_.slot_bytes();
  response.trained_parameters = trainer_.parameter_count();
  if (bundle_.budget != nullptr) {
    response.budget_noise = bundle_.budget->noise_multiplier;
    response.budget_rate = bundle_.budget->max_rate;
    response.budget_steps = bundle_.budget->steps;
    response.budget_left = bundle_.budget->steps - steps_spent_;
  }
  response.secret_source = static_cast<uint8_t>(kSecretSource);
  response.answer_policy = static_cast<uint8_t>(bundle_.answers.policy);
  response.answer_levels = static_cast<uint16_t>(bundle_.answers.levels);
  return reply.Ok(response);
}

uint32_t Session::State(Reply reply) const {
  StateResponse response = {};
  response.epoch = trainer_.epoch();
  response.settings_hash = SettingsHash();
  if (kRelease) return reply.Ok(response);
  response.tail_hash = trainer_.Hash(0);
  response.stored = static_cast<uint16_t>(store_.stored());
  response.store_hash = store_.Hash();
  response.members = static_cast<uint16_t>(store_.members());
  return reply.Ok(response);
}

uint32_t Session::Clear(Reply reply) {
  store_.Clear();
  BeginTraining();
  return reply.OkEmpty();
}

uint32_t Session::Part(PartRequest request, Reply reply) {
  const uint32_t window = WindowSize();
  // A first part begins a window anew.
  const uint32_t came = request.offset == 0 ? 0 : came_;
  if (request.offset != came) return reply.Fail(Status::kBadPart, request.offset, came);
  if (request.data_bytes == 0 || request.data_bytes > window - came) {
    return reply.Fail(Status::kBadWindow, came + request.data_bytes, window);
  }
  memcpy(engine_.input() + came, request.data, request.data_bytes);
  parts_ = came + request.data_bytes;
  PartResponse response = {};
  response.came = parts_;
  return reply.Ok(response);
}

const int8_t* Session::WindowOf(const uint8_t* data, uint32_t bytes, Reply reply,
                                uint32_t* refused) {
  const uint32_t window = WindowSize();
  if (bytes == window) return static_cast<const int8_t*>(static_cast<const void*>(data));
  if (bytes == 0 && came_ == window) return engine_.input();
  *refused = reply.Fail(Status::kBadWindow, bytes == 0 ? came_ : bytes, window);
  return nullptr;
}

uint32_t Session::Put(PutRequest request, Reply reply) {
  const uint32_t window = WindowSize();
  const uint32_t count = request.count;
  // Divided, not multiplied: a large count of large windows must not wrap.
  const uint32_t each = count == 0 ? 0 : request.data_bytes / count;  // a label and a window
  const auto* windows = static_cast<const int8_t*>(static_cast<const void*>(request.data + count));
  if (count == 1 && each == 1 && came_ == window) {
    windows = engine_.input();
  } else if (count == 0 || each != window + 1 || request.data_bytes % count != 0) {
    return reply.Fail(Status::kBadWindow, each == 0 ? 0 : each - 1, window);
  }
  // A gap before the first slot would leave slots that were never filled. A release build fills
  // them: a refusal would tell how many windows there are.
  if (!kRelease && request.slot > store_.stored()) {
    return reply.Fail(Status::kBadSlot, request.slot, store_.stored());
  }
  if (request.slot + count > store_.capacity()) {
    return reply.Fail(Status::kBadSlot, request.slot + count - 1, store_.capacity());
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (request.data[i] >= bundle_.graph.classes()) {
      return reply.Fail(Status::kBadLabel, request.data[i], bundle_.graph.classes());
    }
  }
  StartWork();
  store_.FillUpTo(request.slot);
  for (uint32_t i = 0; i < count; ++i) {
    store_.Put(request.slot + i, windows + i * window, request.data[i]);
    PassItem();
  }
  PutResponse response = {};
  if (!kRelease) {
    response.stored = static_cast<uint16_t>(store_.stored());
    response.ticks = watch_.Look();
  }
  return reply.Ok(response);
}

uint32_t Session::Infer(InferRequest request, Reply reply) {
  uint32_t refused = 0;
  const int8_t* window = WindowOf(request.window, request.window_bytes, reply, &refused);
  if (window == nullptr) return refused;
  InferResponse response = {};
  response.output_bytes = static_cast<uint32_t>(engine_.output_info().bytes);
  if (response.output_bytes > Reply::Room(InferResponse::kFixed)) {
    return reply.Fail(Status::kAnswerTooLong, response.output_bytes, kMaxPayload);
  }
  if (window != engine_.input()) memcpy(engine_.input(), window, WindowSize());
  const uint32_t start = hal::Ticks();
  engine_.Invoke();
  response.ticks = hal::Ticks() - start;
  memcpy(reply.Open(InferResponse::kFixed), engine_.output(), response.output_bytes);
  return reply.Ok(response);
}

uint32_t Session::Select(SelectRequest request, Reply reply) {
  for (uint32_t i = 0; i < request.bitmap_bytes * 8; ++i) {
    const auto bit = static_cast<uint8_t>(1u << i % 8);
    if (i < store_.stored() || (request.bitmap[i / 8] & bit) == 0) continue;
    // A release build does not tell where its store ends.
    if (!kRelease) return reply.Fail(Status::kBadSlot, i, store_.stored());
    request.bitmap[i / 8] &= static_cast<uint8_t>(~bit);
  }
  store_.Select(request.bitmap, request.bitmap_bytes);
  BeginTraining();
  SelectResponse response = {};
  if (!kRelease) response.members = static_cast<uint16_t>(store_.members());
  return reply.Ok(response);
}

}  // namespace tinymia
