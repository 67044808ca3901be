// The inference engine, chosen when the firmware is built. Both give the same bytes.
#pragma once

#ifdef TINYMIA_ENGINE_TFLM
#include "engine_tflm.h"
#else
#include "interpreter.h"
#endif

namespace tinymia {

#ifdef TINYMIA_ENGINE_TFLM
using Engine = TflmEngine;
#else
using Engine = Interpreter;
#endif

}  // namespace tinymia
