// What runs seldom: the compiler makes it small rather than quick.
#pragma once

#define TINYMIA_COLD __attribute__((cold))
// Once, when a bundle is loaded.
#define TINYMIA_AT_LOAD TINYMIA_COLD
