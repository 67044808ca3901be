// The part of the module tinymia.twin._core that runs many devices.
#pragma once

#include <nanobind/nanobind.h>

namespace twin {

void BindFleet(nanobind::module_& m);
void BindUpdates(nanobind::module_& m);

}  // namespace twin
