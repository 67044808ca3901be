// TensorFlow Lite Micro may end the program: a fault like any other, which the host is told of.
// The C library's own ends would bring files, signals and a heap with them.
extern "C" {

[[noreturn]] void abort() { __builtin_trap(); }

[[noreturn]] void __assert_func(const char* /*file*/, int /*line*/, const char* /*function*/,
                                const char* /*condition*/) {
  abort();
}
}
