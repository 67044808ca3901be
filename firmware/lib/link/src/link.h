// The board's end of the link: frames in, requests executed once each and in order, responses out.
// Rules: firmware/protocol/protocol.toml.
#pragma once

#include <stdint.h>

#include "cobs.h"
#include "messages.h"

namespace tinymia {

class Link {
 public:
  // Executes a request and writes the response payload (status first, at most kMaxPayload bytes) to
  // `response`; returns its length.
  using Execute = uint32_t (*)(void* context, uint8_t type, uint8_t* payload, uint32_t size,
                               uint8_t* response);
  using Send = void (*)(const uint8_t* bytes, uint32_t size);

  Link(Execute execute, void* context, Send send)
      : execute_(execute), context_(context), send_(send), decoder_(frame_, sizeof frame_) {}

  void Feed(const uint8_t* bytes, uint32_t size);

  // For whoever executes a request: tells the host that it takes its time.
  void SayBusy();

  // What came since the last delimiter is no part of a frame.
  void Forget() { decoder_.Restart(); }

  uint8_t session() const { return session_; }  // 0: none yet

 private:
  static constexpr uint32_t kHeader = 4;
  static constexpr uint32_t kCrc = 4;
  static constexpr uint32_t kMaxFrame = kHeader + kMaxPayload + kCrc;

  struct Response {
    uint32_t size = 0;  // header and payload; 0: empty
    uint8_t frame[kMaxFrame];
  };

  struct Held {
    uint32_t size = 0;  // 0: empty
    uint8_t frame[kMaxFrame];
  };

  void OnFrame(uint32_t size);
  void OnHello(uint32_t payload_size);
  void RunInOrder(uint8_t* frame, uint32_t size);
  bool GapIsKnown() const;
  void Run(Response* response, uint8_t* frame, uint32_t size);
  void AskAgain();
  void SendResponse(Response* response);
  // Of the board's own accord: a response without a status that says one number.
  void SendNotice(Type type, uint16_t number);

  Execute execute_;
  void* context_;
  Send send_;
  uint8_t frame_[kMaxFrame];
  CobsDecoder decoder_;
  Response responses_[kWindow];
  Response hello_;
  Held held_[kWindow];  // requests that came before one that is missing
  uint8_t encoded_[CobsBound(kMaxFrame)];
  uint32_t nonce_ = 0;
  uint16_t expected_ = 0;
  uint16_t running_ = 0;
  uint8_t session_ = 0;        // 0: none yet
  bool gap_reported_ = false;  // one RESEND a gap; the host's time-out covers a lost one
};

}  // namespace tinymia
