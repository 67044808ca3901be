#include "mlperf.h"

#include <string.h>

#include "hal.h"

namespace tinymia {
namespace {

constexpr uint32_t kMostRuns = 10000000;
constexpr uint32_t kUsualWarmup = 10;

bool IsSpace(char c) { return c == ' '; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool TextCommands::Push(uint8_t byte, uint8_t session) {
  if (byte == 0) {
    Restart(true);
    return false;
  }
  const bool line_end = byte == '\r' || byte == '\n';
  if (line_end && came_ == 0 && !behind_delimiter_) return false;
  if (came_ < sizeof start_) start_[came_] = byte;
  ++came_;
  if (came_ == sizeof start_) frame_ = StartsFrame(session);
  if (frame_) {
    if (came_ <= kLongestFrame) return false;
    frame_ = false;  // it was cut off and never ended
    strange_ = true;
  }
  // A frame may start with any byte, '%' too.
  if (line_end || (byte == '%' && came_ == 1 && behind_delimiter_)) return false;
  if (byte < ' ' || byte > '~') {
    strange_ = true;
    return false;
  }
  if (byte != '%') {
    if (size_ < kLongest) {
      line_[size_++] = static_cast<char>(byte);
    } else {
      too_long_ = true;
    }
    return false;
  }
  line_[size_] = 0;
  at_ = line_;
  if (strange_) {
    Complain("a command has printable characters only");
  } else if (too_long_) {
    Complain("a command has at most 80 characters");
  } else {
    Run();
  }
  Say("m-ready\r\n");
  Restart(false);
  return true;
}

void TextCommands::Restart(bool behind_delimiter) {
  behind_delimiter_ = behind_delimiter;
  frame_ = strange_ = too_long_ = false;
  came_ = size_ = 0;
}

// The code of COBS, the type, the session; a greeting's sequence number is 0.
bool TextCommands::StartsFrame(uint8_t session) const {
  if (start_[0] == 3 && start_[1] == static_cast<uint8_t>(Type::kHello)) return true;
  return start_[0] >= 3 && start_[1] < ' ' && start_[2] == session;
}

bool TextCommands::TakeSpoken() {
  const bool spoken = spoken_;
  spoken_ = false;
  return spoken;
}

void TextCommands::Greet() {
  Say("m-timestamp-mode-performance\r\n");
  Lap();
  Say("m-init-done\r\nm-ready\r\n");
}

void TextCommands::Run() {
  session_->ForgetParts();
  if (Word("name")) {
    Say("m-name-dut-[tinymia ");
    Say(hal::BoardName());
    Say("]\r\n");
  } else if (Word("profile")) {
    Profile();
  } else if (Word("timestamp")) {
    Lap();
  } else if (Word("help")) {
    Help();
  } else if (Word("db")) {
    Database();
  } else if (Word("infer")) {
    Infer();
  } else if (Word("results")) {
    Results();
  } else {
    Complain(AtEnd() ? "there is no command; try help" : "there is no such command; try help");
  }
}

void TextCommands::Profile() {
  Say("m-profile-[tinymia ");
  Say(kFirmwareVersion);
  Say("]\r\nm-model-[");
  if (session_->window_bytes() == 0) {
    Say("none");
  } else {
    Say("bundle-");
    SayNumber(session_->bundle_crc(), 16, 8);
  }
  Say("]\r\n");
}

void TextCommands::Help() {
  Say("tinymia, commands of MLPerf Tiny, each ended by a per cent sign:\r\n"
      "name, profile, timestamp, help, results\r\n"
      "db load N        N bytes of input follow\r\n"
      "db HEX           some of them\r\n"
      "db print         what has come\r\n"
      "infer N [W]      N inferences after W (10) to warm up\r\n");
}

// --- input ---

void TextCommands::Database() {
  uint32_t size = 0;
  if (Word("load")) {
    if (!Number(UINT32_MAX, &size)) return Complain("db load needs a number of bytes");
    return Load(size);
  }
  if (Word("print")) return Print();
  Take(Rest());
}

void TextCommands::Load(uint32_t size) {
  const uint32_t wanted = session_->window_bytes();
  if (wanted == 0) return Complain("there is no usable bundle on the board");
  if (wanted > sizeof window_) return Complain("the model's input does not fit in the buffer");
  if (size != wanted) {
    Say("e-[the model takes ");
    SayNumber(wanted);
    Say(" bytes]\r\n");
    return;
  }
  expected_ = size;
  loaded_ = 0;
  Line("m-[Expecting ", size, " bytes]");
}

void TextCommands::Take(const char* digits) {
  const uint32_t count = static_cast<uint32_t>(strlen(digits));
  if (count == 0) return Complain("db needs load, print or hexadecimal data");
  if (expected_ == 0) return Complain("say db load first");
  if (loaded_ == expected_) return Complain("all bytes have come already");
  if (count % 2 != 0) return Complain("a byte has two hexadecimal digits");
  if (count / 2 > expected_ - loaded_) return Complain("these are more bytes than were announced");
  for (uint32_t i = 0; i < count; ++i) {
    if (HexDigit(digits[i]) < 0) return Complain("these are no hexadecimal digits");
  }
  for (uint32_t i = 0; i < count; i += 2) {
    const int value = HexDigit(digits[i]) << 4 | HexDigit(digits[i + 1]);
    window_[loaded_++] = static_cast<int8_t>(value < 128 ? value : value - 256);
  }
  if (loaded_ == expected_) Say("m-load-done\r\n");
}

void TextCommands::Print() {
  if (loaded_ == 0) return Complain("nothing is loaded");
  for (uint32_t i = 0; i < loaded_; ++i) {
    if (i % 8 == 0) Say("m-buffer");
    Say("-");
    SayNumber(static_cast<uint8_t>(window_[i]), 16, 2);
    if (i % 8 == 7 || i + 1 == loaded_) Say("\r\n");
  }
}

// --- inference ---

void TextCommands::Infer() {
  uint32_t runs = 0;
  uint32_t warmup = kUsualWarmup;
  if (!Number(kMostRuns, &runs) || runs == 0) {
    return Complain("infer needs how often, 1 to 10000000");
  }
  if (!AtEnd() && !Number(kMostRuns, &warmup)) return Complain("warm up 0 to 10000000 times");
  if (!IsLoaded()) return Complain("load the input first: db load");
  Line("m-warmup-start-", warmup);
  for (uint32_t i = 0; i < warmup; ++i) {
    session_->Predict(window_);
    watch_.Look();
  }
  Say("m-warmup-done\r\n");
  Line("m-infer-start-", runs);
  Lap();
  for (uint32_t i = 0; i < runs; ++i) {
    session_->Predict(window_);
    watch_.Look();
  }
  Lap();
  Say("m-infer-done\r\n");
  Answer();
}

bool TextCommands::IsLoaded() const {
  return expected_ != 0 && loaded_ == expected_ && expected_ == session_->window_bytes();
}

// The last answer is computed again: frames may have used the model since.
void TextCommands::Results() {
  if (!IsLoaded()) return Complain("there is no result yet: db load, then infer");
  session_->Predict(window_);
  Answer();
}

void TextCommands::Answer() {
  Say("m-results-[");
  for (uint32_t k = 0; k < session_->answers(); ++k) {
    if (k > 0) Say(",");
    float value = session_->answer(k);
    if (value != value) {
      Say("nan");
      continue;
    }
    if (value < 0) Say("-");
    value = value < 0 ? -value : value;
    const float capped = value < 4.0e6f ? value : 4.0e6f;
    const uint32_t whole = static_cast<uint32_t>(capped);
    const float rest = (capped - static_cast<float>(whole)) * 1e6f;
    SayNumber(whole);
    Say(".");
    const uint32_t millionths = static_cast<uint32_t>(rest);
    SayNumber(millionths, 10, 6);
  }
  Say("]\r\n");
}

uint64_t TextCommands::Microseconds() {
  const uint64_t ticks = watch_.Look();
  const uint64_t hz = hal::TicksPerSecond();
  return ticks / hz * 1000000 + ticks % hz * 1000000 / hz;
}

void TextCommands::Lap() { Line("m-lap-us-", Microseconds()); }

// --- words ---

bool TextCommands::Word(const char* word) {
  const char* p = at_;
  while (IsSpace(*p)) ++p;
  while (*word != 0 && *p == *word) {
    ++p;
    ++word;
  }
  if (*word != 0 || (*p != 0 && !IsSpace(*p))) return false;
  at_ = p;
  return true;
}

const char* TextCommands::Rest() {
  while (IsSpace(*at_)) ++at_;
  return at_;
}

bool TextCommands::AtEnd() { return *Rest() == 0; }

bool TextCommands::Number(uint32_t most, uint32_t* value) {
  const char* p = Rest();
  uint64_t sum = 0;
  const char* const start = p;
  for (; *p >= '0' && *p <= '9'; ++p) {
    sum = sum * 10 + static_cast<uint64_t>(*p - '0');
    if (sum > most) return false;
  }
  if (p == start || (*p != 0 && !IsSpace(*p))) return false;
  at_ = p;
  *value = static_cast<uint32_t>(sum);
  return true;
}

// --- replies ---

void TextCommands::Say(const char* text) {
  spoken_ = true;
  hal::Write(reinterpret_cast<const uint8_t*>(text), static_cast<uint32_t>(strlen(text)));
}

void TextCommands::SayNumber(uint64_t value, uint32_t base, uint32_t digits) {
  char text[24];
  uint32_t at = sizeof text - 1;
  text[at] = 0;
  for (uint32_t count = 0; value != 0 || count < digits; ++count) {
    text[--at] = "0123456789abcdef"[value % base];
    value /= base;
  }
  Say(text + at);
}

void TextCommands::Line(const char* before, uint64_t number, const char* behind) {
  Say(before);
  SayNumber(number);
  Say(behind);
  Say("\r\n");
}

void TextCommands::Complain(const char* text) {
  Say("e-[");
  Say(text);
  Say("]\r\n");
}

}  // namespace tinymia
