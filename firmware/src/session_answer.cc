// The session's answers under an output policy.

#include <string.h>

#include "hal.h"
#include "policy.h"
#include "release.h"
#include "session.h"

namespace tinymia {

static_assert(static_cast<uint32_t>(Policy::kRounded) == kRoundedAnswers &&
                  static_cast<uint32_t>(Policy::kLabel) == kLabelAnswers,
              "a bundle's policies are the protocol's");

Refusal Session::CheckPolicy(uint8_t policy, uint16_t levels) const {
  if (bare_) return {Status::kRoundOpen, 0, 0};
  const bool known = policy <= static_cast<uint8_t>(Policy::kLabel);
  if (!known || (policy == static_cast<uint8_t>(Policy::kRounded) && levels == 0)) {
    return {Status::kBadPolicy, policy, levels};
  }
  if (!kRelease) return {};
  const AnswerRule& rule = bundle_.answers;
  const bool same = policy == rule.policy &&
                    (policy != static_cast<uint8_t>(Policy::kRounded) || levels == rule.levels);
  return same ? Refusal() : Refusal{Status::kPolicyForbidden, rule.policy, rule.levels};
}

uint32_t Session::AnswerBytes(uint8_t policy) const {
  switch (static_cast<Policy>(policy)) {
    case Policy::kFull:
      return answers() * 4;
    case Policy::kRounded:
      return answers() * 2;
    case Policy::kTop1:
      return 5;
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
    default:
      WriteLabel(answer_, classes, out);
  }
}

uint32_t Session::window_bytes() const {
  const bool usable = refusal_.status == Status::kOk;
  return usable ? static_cast<uint32_t>(engine_.input_info().bytes) : 0;
}

void Session::Predict(const int8_t* window) {
  if (bundle_.graph.count != 0) {
    trainer_.Answer(store_.FeaturesOf(window), answer_);
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
  return bundle_.graph.count != 0 ? bundle_.graph.classes()
                                  : static_cast<uint32_t>(engine_.output_info().bytes);
}

uint32_t Session::Query(QueryRequest request, Reply reply) {
  const Refusal refusal = CheckPolicy(request.policy, request.levels);
  if (refusal.status != Status::kOk) return reply.Fail(refusal);
  const uint32_t count = request.slots_bytes / 2;
  const uint32_t each = AnswerBytes(request.policy);
  if (count * each > Reply::Room(QueryResponse::kFixed)) {
    return reply.Fail(Status::kAnswerTooLong, count * each, kMaxPayload);
  }
  QueryResponse response = {};
  response.answers_bytes = count * each;
  StartWork();
  for (uint32_t i = 0; i < count; ++i) {
    uint16_t slot;
    memcpy(&slot, request.slots + 2 * i, sizeof slot);
    if (slot >= store_.stored()) return reply.Fail(Status::kBadSlot, slot, store_.stored());
    trainer_.Answer(store_.Features(slot), answer_);
    WriteAnswer(request.policy, request.levels, reply.Open(QueryResponse::kFixed) + i * each);
    PassItem();
  }
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
  response.answer_bytes = AnswerBytes(request.policy);
  if (response.answer_bytes > Reply::Room(AskResponse::kFixed)) {
    return reply.Fail(Status::kAnswerTooLong, response.answer_bytes, kMaxPayload);
  }
  const uint32_t start = hal::Ticks();
  Predict(window);
  WriteAnswer(request.policy, request.levels, reply.Open(AskResponse::kFixed));
  if (!kRelease) response.ticks = hal::Ticks() - start;
  return reply.Ok(response);
}

}  // namespace tinymia
