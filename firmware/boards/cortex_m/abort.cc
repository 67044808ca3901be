// TensorFlow Lite Micro may end the program: a fault like any other, which the host is told of.
// The C library's would bring signals and files with it.
extern "C" [[noreturn]] void abort() { __builtin_trap(); }
