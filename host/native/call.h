// A call from Python that works without the GIL. It ends early by an exception where Python's
// handler of a signal raises one, where another thread asks for it, and at the program's end: a
// thread that came back to an interpreter that is gone would abort the process.
#pragma once

#include <cstdint>

namespace twin {

// Made and destroyed with the GIL.
class Call {
 public:
  Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call();

  // Without the GIL, about ten times a second: throws if the call is to end.
  void Check() const;

 private:
  uint64_t number_;
};

// Ends all calls of other threads; what is called afterwards runs.
void InterruptCalls();
// Ends all calls and waits for them; what is called afterwards ends at once.
void EndCalls();
// In the child of a fork, where no other thread is.
void ForgetCalls();

}  // namespace twin
