#include "trainer.h"

namespace tinymia {

template class Trainer<float>;

}  // namespace tinymia
