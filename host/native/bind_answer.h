// Guards of answers for many devices; see bind_answer.cc.
#pragma once

#include <nanobind/nanobind.h>

namespace twin {

void BindAnswer(nanobind::module_& module);

}  // namespace twin
