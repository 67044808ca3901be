#include "call.h"

#include <nanobind/nanobind.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace nb = nanobind;

namespace twin {
namespace {

std::atomic<uint64_t> interruptions{0};
std::atomic<uint32_t> running{0};
std::atomic<bool> ended{false};

[[noreturn]] void ThrowInterrupt() {
  PyErr_SetNone(PyExc_KeyboardInterrupt);
  throw nb::python_error();
}

}  // namespace

Call::Call() : number_(interruptions) {
  if (ended) ThrowInterrupt();
  ++running;
}

Call::~Call() { --running; }

void Call::Check() const {
  const nb::gil_scoped_acquire acquire;
  if (number_ != interruptions) ThrowInterrupt();
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

void InterruptCalls() { ++interruptions; }

void EndCalls() {
  ended = true;
  ++interruptions;
  const nb::gil_scoped_release release;
  while (running != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void ForgetCalls() { running = 0; }

}  // namespace twin
