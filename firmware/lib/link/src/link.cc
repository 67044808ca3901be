#include "link.h"

#include <string.h>

#include "crc32.h"

namespace tinymia {

void Link::Feed(const uint8_t* bytes, uint32_t size) {
  for (uint32_t i = 0; i < size; ++i) {
    if (!decoder_.Push(bytes[i])) continue;
    if (decoder_.size() == 0 && !decoder_.bad()) continue;  // idle delimiters
    if (decoder_.bad() || decoder_.size() < kHeader + kCrc) {
      AskAgain();
      continue;
    }
    const uint32_t body = decoder_.size() - kCrc;
    uint32_t crc;
    memcpy(&crc, frame_ + body, sizeof crc);
    if (crc != Crc32(frame_, body)) {
      AskAgain();
      continue;
    }
    OnFrame(body);
  }
}

void Link::OnFrame(uint32_t size) {
  if ((frame_[0] & kResponse) != 0) return;  // no request: a line that echoes, our own words
  if (frame_[0] == static_cast<uint8_t>(Type::kHello)) {
    OnHello(size - kHeader);
    return;
  }
  uint16_t seq;
  memcpy(&seq, frame_ + 2, sizeof seq);
  if (session_ == 0) {
    AskAgain();  // session 0 in it tells the host that the board has restarted
    return;
  }
  if (frame_[1] != session_) return;  // left over from an earlier session
  const int16_t ahead = static_cast<int16_t>(seq - expected_);
  if (ahead == 0) {
    RunInOrder(frame_, size);
  } else if (ahead > 0 && ahead < static_cast<int16_t>(kWindow)) {
    Held* held = &held_[seq % kWindow];
    memcpy(held->frame, frame_, size);
    held->size = size;
    if (!gap_reported_) AskAgain();
  } else if (ahead < 0 && ahead >= -static_cast<int16_t>(kWindow)) {
    Response* response = &responses_[seq % kWindow];
    if (response->size != 0) SendResponse(response);  // it was lost: send it again, run nothing
  }
}

// Runs a request and those behind it that are here already.
void Link::RunInOrder(uint8_t* frame, uint32_t size) {
  for (;;) {
    Held* held = &held_[expected_ % kWindow];
    Response* response = &responses_[expected_ % kWindow];
    ++expected_;
    Run(response, frame, size);
    held->size = 0;
    held = &held_[expected_ % kWindow];
    if (held->size == 0) break;
    frame = held->frame;
    size = held->size;
  }
  gap_reported_ = false;
  if (GapIsKnown()) AskAgain();
}

bool Link::GapIsKnown() const {
  for (const Held& held : held_) {
    if (held.size != 0) return true;
  }
  return false;
}

void Link::OnHello(uint32_t payload_size) {
  HelloRequest request;
  // A HELLO of another protocol version may be longer, but starts the same.
  if (payload_size < HelloRequest::kFixed ||
      !request.Read(frame_ + kHeader, HelloRequest::kFixed) || request.magic != kProtocolMagic ||
      frame_[1] == 0) {
    return;
  }
  if (session_ != 0 && request.nonce == nonce_) {
    SendResponse(&hello_);  // a repeated HELLO must not forget what came after it
    return;
  }
  nonce_ = request.nonce;
  session_ = frame_[1];
  expected_ = 0;
  gap_reported_ = false;
  for (Response& response : responses_) response.size = 0;
  for (Held& held : held_) held.size = 0;
  Run(&hello_, frame_, kHeader + payload_size);
}

void Link::Run(Response* response, uint8_t* frame, uint32_t size) {
  memcpy(response->frame, frame, kHeader);
  memcpy(&running_, frame + 2, sizeof running_);
  response->frame[0] |= kResponse;
  response->size = kHeader + execute_(context_, frame[0], frame + kHeader, size - kHeader,
                                      response->frame + kHeader);
  const uint32_t crc = Crc32(response->frame, response->size);
  memcpy(response->frame + response->size, &crc, sizeof crc);
  SendResponse(response);
}

void Link::AskAgain() {
  gap_reported_ = true;
  SendNotice(Type::kResend, expected_);
}

void Link::SayBusy() { SendNotice(Type::kBusy, running_); }

static_assert(ResendResponse::kFixed == BusyResponse::kFixed, "one form of both notices");

void Link::SendNotice(Type type, uint16_t number) {
  uint8_t frame[kHeader + ResendResponse::kFixed + kCrc] = {
      static_cast<uint8_t>(static_cast<uint8_t>(type) | kResponse), session_, 0, 0};
  const uint32_t size = kHeader + sizeof number;
  memcpy(frame + kHeader, &number, sizeof number);
  const uint32_t crc = Crc32(frame, size);
  memcpy(frame + size, &crc, sizeof crc);
  send_(encoded_, CobsEncode(frame, size + kCrc, encoded_));
}

void Link::SendResponse(Response* response) {
  send_(encoded_, CobsEncode(response->frame, response->size + kCrc, encoded_));
}

}  // namespace tinymia
