// The session's answers, guarded and under an output policy.

#include <string.h>

#include "hal.h"
#include "policy.h"
#include "release.h"
#include "session.h"

namespace tinymia {

static_assert(static_cast<uint32_t>(Policy::kRounded) == kRoundedAnswers &&
                  static_cast<uint32_t>(Policy::kLabel) == kLabelAnswers &&
                  static_cast<uint32_t>(Policy::kTopk) == kTopKAnswers,
              "a bundle's policies are the protocol's");

namespace {

// Whether `levels` mean something under a policy.
bool Counts(uint8_t policy) {
  return policy == static_cast<uint8_t>(Policy::kRounded) ||
         policy == static_cast<uint8_t>(Policy::kTopk);
}

// Whether anything is drawn for an answer.
bool Draws(const GuardSettings& guard) {
  return guard.noise_law != NoiseLaw::kNone || guard.classifier != 0 || guard.swap != 0;
}

bool Guards(const GuardSettings& guard) {
  return Draws(guard) || guard.temperature > 0.0f || guard.answers != 0 || guard.watch != 0;
}

}  // namespace

Refusal Session::CheckPolicy(uint8_t policy, uint16_t levels) const {
  if (bare_) return {Status::kRoundOpen, 0, 0};
  const bool known = policy <= static_cast<uint8_t>(Policy::kTopk);
  const bool shows_more = policy == static_cast<uint8_t>(Policy::kTopk) && levels > answers();
  if (!known || (Counts(policy) && levels == 0) || shows_more) {
    return {Status::kBadPolicy, policy, levels};
  }
  if (!kRelease) return {};
  const AnswerRule& rule = bundle_.answers;
  const bool same = policy == rule.policy && (!Counts(policy) || levels == rule.levels);
  return same ? Refusal() : Refusal{Status::kPolicyForbidden, rule.policy, rule.levels};
}

Refusal Session::CheckGuard(const GuardSettings& settings) const {
  const GuardSetting wrong = tinymia::CheckGuard(settings);
  if (wrong != GuardSetting::kNone) return {Status::kBadGuard, static_cast<uint32_t>(wrong), 0};
  if (!kGuards && Guards(settings)) return {Status::kGuardLeftOut, 0, 0};
  if (settings.classifier > bundle_.classifiers.count) {
    return {Status::kNoClassifier, settings.classifier, bundle_.classifiers.count};
  }
  return {};
}

uint32_t Session::Guard(GuardRequest request, Reply reply) {
  const GuardSettings settings = GuardFrom(request);
  const Refusal refusal = CheckGuard(settings);
  if (refusal.status != Status::kOk) return reply.Fail(refusal);
  guard_ = settings;
  if (settings.watch != 0) detector_.Set(settings);
  GuardResponse response = {};
  const uint32_t left = settings.answers > answered_ ? settings.answers - answered_ : 0;
  response.answers_left = settings.answers == 0 ? UINT32_MAX : left;
  return reply.Ok(response);
}

Refusal Session::StartAnswers(uint32_t count) {
  if (!kGuards || bundle_.graph.count == 0) return {};
  if (guard_.answers != 0) {
    const uint32_t left = guard_.answers > answered_ ? guard_.answers - answered_ : 0;
    if (count > left) return {Status::kAnswersSpent, count, left};
  }
  const Refusal odd = CheckQuestions();
  if (odd.status != Status::kOk) return odd;
  if ((Draws(guard_) || guard_.watch != 0) && !has_guard_key_) {
    if (!DrawKey(settings_.seed, &guard_key_)) return {Status::kNoEntropy, 0, 0};
    has_guard_key_ = true;
  }
  answered_ = count > UINT32_MAX - answered_ ? UINT32_MAX : answered_ + count;
  return {};
}

void Session::Answer(const int8_t* features) {
  trainer_.Answer(features, answer_);
  const uint32_t n = answers();
  for (uint32_t k = 0; k < n; ++k) answer_[k] = Canonical(answer_[k]);
  if (!kGuards) return;
  const bool draws = Draws(guard_);
  if (!draws && !(guard_.temperature > 0.0f)) return;
  SecretKey query = {};
  if (draws) {
    const uint32_t bytes = static_cast<uint32_t>(store_.cut().info.bytes);
    const uint32_t epoch = trainer_.epoch();
    query = QueryKey(guard_key_, epoch, features, bytes, epoch == 0 ? 0 : begun_);
  }
  float* spare = nullptr;
  if (guard_.swap != 0) {
    SpareWindow(SpareOf(query), WindowSize(), engine_.input());
    spare = guard_scratch_;
    trainer_.Answer(store_.FeaturesOf(engine_.input()), spare);
  }
  Classifier classifier;
  if (guard_.classifier != 0) classifier = bundle_.classifiers[guard_.classifier - 1u];
  tinymia::Guard(guard_, &classifier, query, spare, answer_, n, guard_scratch_ + n);
}

void Session::AnswerQuestion(const int8_t* features) {
  const bool watches = kGuards && guard_.watch != 0;
  // Before the answer, which may put another window's features in their place.
  if (watches) {
    detector_.See(guard_key_, features, static_cast<uint32_t>(store_.cut().info.bytes));
  }
  Answer(features);
  if (!watches || detector_.alarm() == 0) return;
  const uint32_t n = answers();
  const uint32_t label = Top1(answer_, n);
  for (uint32_t k = 0; k < n; ++k) answer_[k] = k == label ? 1.0f : 0.0f;
}

Refusal Session::CheckQuestions() const {
  const bool refuses = kGuards && guard_.watch_refuse != 0 && detector_.alarm() != 0;
  return refuses ? Refusal{Status::kOddQuestions, detector_.alarm(), 0} : Refusal();
}

uint32_t Session::AnswerBytes(uint8_t policy, uint16_t levels) const {
  switch (static_cast<Policy>(policy)) {
    case Policy::kFull:
      return answers() * 4;
    case Policy::kRounded:
      return answers() * 2;
    case Policy::kTop1:
      return 5;
    case Policy::kTopk:
      return levels * 5u;
    default:
      return 1;
  }
}

void Session::WriteAnswer(uint8_t policy, uint16_t levels, uint8_t* out) {
  const uint32_t classes = answers();
  for (uint32_t k = 0; k < classes; ++k) answer_[k] = Canonical(answer_[k]);
  switch (static_cast<Policy>(policy)) {
    case Policy::kFull:
      WriteFull(answer_, classes, out);
      break;
    case Policy::kRounded:
      WriteRounded(answer_, classes, levels, out);
      break;
    case Policy::kTop1:
      WriteTop1(answer_, classes, out);
      break;
    case Policy::kTopk:
      WriteTopK(answer_, classes, levels, out);
      break;
    default:
      WriteLabel(answer_, classes, out);
  }
}

uint32_t Session::window_bytes() const {
  const bool usable = refusal_.status == Status::kOk;
  return usable ? static_cast<uint32_t>(engine_.input_info().bytes) : 0;
}

void Session::Predict(const int8_t* window) {
  if (has_tail()) {
    Answer(store_.FeaturesOf(window));
    return;
  }
  if (window != engine_.input()) memcpy(engine_.input(), window, WindowSize());
  engine_.Invoke();
  const Engine::TensorInfo& out = engine_.output_info();
  for (uint32_t k = 0; k < answers(); ++k) {
    answer_[k] = static_cast<float>(engine_.output()[k] - out.zero_point) * out.scale;
  }
}

uint32_t Session::answers() const {
  return has_tail() ? bundle_.graph.classes() : static_cast<uint32_t>(engine_.output_info().bytes);
}

uint32_t Session::Query(QueryRequest request, Reply reply) {
  const Refusal refusal = CheckPolicy(request.policy, request.levels);
  if (refusal.status != Status::kOk) return reply.Fail(refusal);
  const uint32_t count = request.slots_bytes / 2;
  const uint32_t each = AnswerBytes(request.policy, request.levels);
  if (count * each > Reply::Room(QueryResponse::kFixed)) {
    return reply.Fail(Status::kAnswerTooLong, count * each, kMaxPayload);
  }
  for (uint32_t i = 0; i < count; ++i) {
    uint16_t slot;
    memcpy(&slot, request.slots + 2 * i, sizeof slot);
    if (slot >= store_.stored()) return reply.Fail(Status::kBadSlot, slot, store_.stored());
  }
  const Refusal spent = StartAnswers(count);
  if (spent.status != Status::kOk) return reply.Fail(spent);
  QueryResponse response = {};
  response.answers_bytes = count * each;
  // An answer may take long then.
  StartWork(kGuards && (Draws(guard_) || guard_.watch != 0) ? 1 : kFirstLook);
  for (uint32_t i = 0; i < count; ++i) {
    uint16_t slot;
    memcpy(&slot, request.slots + 2 * i, sizeof slot);
    AnswerQuestion(store_.Features(slot));
    WriteAnswer(request.policy, request.levels, reply.Open(QueryResponse::kFixed) + i * each);
    PassItem();
  }
  const Refusal odd = CheckQuestions();
  if (odd.status != Status::kOk) return reply.Fail(odd);
  response.ticks = watch_.Look();
  return reply.Ok(response);
}

uint32_t Session::Ask(AskRequest request, Reply reply) {
  const Refusal refusal = CheckPolicy(request.policy, request.levels);
  if (refusal.status != Status::kOk) return reply.Fail(refusal);
  uint32_t refused = 0;
  const int8_t* window = WindowOf(request.window, request.window_bytes, reply, &refused);
  if (window == nullptr) return refused;
  AskResponse response = {};
  response.answer_bytes = AnswerBytes(request.policy, request.levels);
  if (response.answer_bytes > Reply::Room(AskResponse::kFixed)) {
    return reply.Fail(Status::kAnswerTooLong, response.answer_bytes, kMaxPayload);
  }
  const Refusal spent = StartAnswers(1);
  if (spent.status != Status::kOk) return reply.Fail(spent);
  const uint32_t start = hal::Ticks();
  if (has_tail()) {
    AnswerQuestion(store_.FeaturesOf(window));
  } else {
    Predict(window);
  }
  const Refusal odd = CheckQuestions();
  if (odd.status != Status::kOk) return reply.Fail(odd);
  WriteAnswer(request.policy, request.levels, reply.Open(AskResponse::kFixed));
  if (!kRelease) response.ticks = hal::Ticks() - start;
  return reply.Ok(response);
}

}  // namespace tinymia
