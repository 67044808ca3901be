// The serial commands of MLPerf Tiny, so that its runners can drive the board, beside the frames on
// the same line. Commands and replies: MLCommons Tiny, benchmark/api; a command ends in '%' and has
// at most 80 characters, a reply ends in the line "m-ready".
#pragma once

#include <stdint.h>

#include "cobs.h"
#include "cold.h"
#include "messages.h"
#include "session.h"
#include "stopwatch.h"

namespace tinymia {

// A command is what comes from one '%' or delimiter of frames to the next '%', without line ends.
// The first three bytes of a frame tell it from text. What is neither, such as a glitch of the line
// or a damaged frame, is refused as a command at its '%', so that a runner is never left without an
// answer. A command never touches the sample store, the training or the link's session.
class TextCommands {
 public:
  explicit TextCommands(Session* session) : session_(session) {}

  // What the board says when it starts.
  void Greet();

  // True when `byte` ended a command, which has been answered: what came since the last delimiter
  // was no frame. `session`: of the link, 0: none.
  bool Push(uint8_t byte, uint8_t session);

  // Whether text was sent since the last call: a frame behind it needs a delimiter in front.
  bool TakeSpoken();

 private:
  static constexpr uint32_t kLongest = 80;
  static constexpr uint32_t kLongestFrame = CobsBound(kMaxPayload + 8);

  void Restart(bool behind_delimiter);
  bool StartsFrame(uint8_t session) const;
  TINYMIA_COLD void Run();
  TINYMIA_COLD void Database();
  TINYMIA_COLD void Infer();
  TINYMIA_COLD void Help();
  TINYMIA_COLD void Profile();
  TINYMIA_COLD void Results();
  TINYMIA_COLD void Print();
  TINYMIA_COLD void Load(uint32_t size);
  TINYMIA_COLD void Take(const char* digits);
  TINYMIA_COLD bool IsLoaded() const;
  TINYMIA_COLD void Answer();
  TINYMIA_COLD void Lap();
  TINYMIA_COLD uint64_t Microseconds();

  TINYMIA_COLD bool Word(const char* word);  // the next one is `word`; goes behind it
  TINYMIA_COLD const char* Rest();           // the next one, whatever it is
  TINYMIA_COLD bool Number(uint32_t most, uint32_t* value);
  TINYMIA_COLD bool AtEnd();

  TINYMIA_COLD void Say(const char* text);
  TINYMIA_COLD void SayNumber(uint64_t value, uint32_t base = 10, uint32_t digits = 1);
  TINYMIA_COLD void Line(const char* before, uint64_t number, const char* behind = "");
  TINYMIA_COLD void Complain(const char* text);

  Session* session_;
  char line_[kLongest + 1];
  uint32_t size_ = 0;
  const char* at_ = line_;
  uint8_t start_[3];
  uint32_t came_ = 0;              // bytes since a delimiter or command
  bool behind_delimiter_ = false;  // no command came since
  bool frame_ = false;             // what comes is a frame
  bool strange_ = false;           // what came is neither frame nor text
  bool too_long_ = false;
  bool spoken_ = false;
  int8_t window_[kMaxPayload];
  uint32_t expected_ = 0;  // bytes that "db load" announced; 0: nothing is loaded
  uint32_t loaded_ = 0;
  Stopwatch watch_;
};

}  // namespace tinymia
