#ifndef TINYMIA_BOARDS_ARDUINO_CHIP_H_
#define TINYMIA_BOARDS_ARDUINO_CHIP_H_

namespace tinymia {

// For hal::Init(): starts what Arduino's API does not have, that is the tick counter and the watch
// over the stack.
void StartChip();

}  // namespace tinymia

#endif  // TINYMIA_BOARDS_ARDUINO_CHIP_H_
