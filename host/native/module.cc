// The extension module tinymia.twin._core.
#include <nanobind/nanobind.h>

#include <stdexcept>
#include <string>

#include "bind_answer.h"
#include "bind_fleet.h"
#include "board.h"
#include "call.h"
#include "stamp.h"

namespace nb = nanobind;

namespace {

void WriteToBoard(twin::Board* board, const nb::bytes& data) {
  const auto* bytes = static_cast<const uint8_t*>(data.data());
  const size_t size = data.size();
  const twin::Call call;
  const nb::gil_scoped_release release;
  board->Write(bytes, size, [&call] { call.Check(); });
}

nb::bytes ReadFromBoard(twin::Board* board, size_t max) {
  std::string out;
  {
    const nb::gil_scoped_release release;
    out = board->Read(max);
  }
  return nb::bytes(out.data(), out.size());
}

nb::dict LoadModel(const nb::bytes& model) {
  twin::ModelLoad load = {};
  {
    const auto* bytes = static_cast<const uint8_t*>(model.data());
    const auto size = static_cast<uint32_t>(model.size());
    const nb::gil_scoped_release release;
    load = twin::LoadModel(bytes, size);
  }
  nb::dict out;
  out["status"] = load.status;
  out["a"] = load.a;
  out["b"] = load.b;
  out["inputs"] = load.inputs;
  out["outputs"] = load.outputs;
  out["odd_end"] = load.odd_end;
  out["arena"] = load.arena;
  return out;
}

}  // namespace

NB_MODULE(_core, m) {
  nb::set_leak_warnings(false);  // a thread that ends with the program holds what it works on
  m.attr("stamp") = twin::kStamp;
  twin::BindFleet(m);
  twin::BindAnswer(m);
  twin::BindUpdates(m);
  nb::class_<twin::Board>(m, "Board")
      .def(
          "__init__",
          [](twin::Board* self, const nb::bytes& bundle, uint32_t arena) {
            new (self) twin::Board(std::string(bundle.c_str(), bundle.size()), arena);
          },
          nb::arg("bundle"), nb::arg("arena"))
      .def("write", &WriteToBoard, nb::arg("data"))
      .def("read", &ReadFromBoard, nb::arg("size"));
  m.def("load_model", &LoadModel, nb::arg("model"));
  m.def("interrupt", &twin::InterruptCalls);
  m.def("end", &twin::EndCalls);
  m.def("after_fork", &twin::ForgetCalls);
}
