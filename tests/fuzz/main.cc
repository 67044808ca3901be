// One program for all: TINYMIA_FUZZ names the target, TINYMIA_FUZZ_BUNDLE a bundle to run. Built
// with -DTINYMIA_REPLAY it needs no libFuzzer and takes each file that it is given once.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "targets.h"

namespace {

using Target = void (*)(const uint8_t* data, size_t size);

Target Chosen() {
  const char* name = getenv("TINYMIA_FUZZ");
  const struct {
    const char* name;
    Target target;
  } targets[] = {{"loader", fuzz::Loader},
                 {"bundle", fuzz::Bundle},
                 {"line", fuzz::Line},
                 {"text", fuzz::Text}};
  for (const auto& known : targets) {
    if (name != nullptr && strcmp(name, known.name) == 0) return known.target;
  }
  fprintf(stderr, "TINYMIA_FUZZ must be loader, bundle, line or text\n");
  exit(2);
}

}  // namespace

#ifdef TINYMIA_REPLAY
int main(int argc, char** argv) {
  const Target target = Chosen();
  for (int i = 1; i < argc; ++i) {
    fprintf(stderr, "%s\n", argv[i]);  // the last one is at fault
    const std::vector<uint8_t> data = fuzz::ReadFile(argv[i]);
    const fuzz::Memory exact = fuzz::CopyOf(data);
    target(exact.get(), data.size());
  }
  return 0;
}
#else
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Target target = Chosen();
  target(data, size);
  return 0;
}
#endif
