// Monocypher, whose one source file stands where the build was told (TINYMIA_MONOCYPHER); it is no
// part of this project.
#ifdef TINYMIA_SECURE
#pragma GCC optimize("Os")  // it runs seldom, and flash is short
extern "C" {
#include <monocypher.c>
}
#endif
