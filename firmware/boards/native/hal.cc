// Board layer of the host: the serial line is stdin and stdout, or a TCP connection.
//   TINYMIA_PORT       listen on this port of 127.0.0.1
//   TINYMIA_LISTEN_FD  a listening socket that was inherited
//   TINYMIA_BUNDLE     file that lies in the "flash"
//   TINYMIA_BROKEN_ENTROPY  while there is a file of this name, there are no random numbers

#include "hal.h"

#include <arpa/inet.h>
#include <elf.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// The linker's name for the start of the image. (A library's link.h hides the system's.)
extern "C" const uint8_t __ehdr_start[];

namespace tinymia::hal {
namespace {

constexpr uint32_t kArenaSize = 112 * 1024;
constexpr uint32_t kBundleCapacity = 896 * 1024;

alignas(16) uint8_t arena[kArenaSize];
alignas(16) uint8_t bundle[kBundleCapacity];
uint8_t build_id[kBuildIdSize];
int listener = -1;
int input = STDIN_FILENO;
int output = STDOUT_FILENO;

[[noreturn]] void Die(const char* what) {
  perror(what);
  exit(1);
}

int NumberFromEnvironment(const char* name) {
  const char* text = getenv(name);
  return text == nullptr ? -1 : atoi(text);
}

void Listen(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  const int yes = 1;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener, 1) != 0) {
    Die("TINYMIA_PORT");
  }
}

void Accept() {
  const int connection = accept(listener, nullptr, nullptr);
  if (connection < 0) Die("accept");
  const int yes = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  input = output = connection;
}

void HangUp() {
  if (listener < 0) exit(0);
  close(input);
  Accept();
}

void LoadBundle(const char* path) {
  memset(bundle, 0xFF, sizeof(bundle));
  if (path == nullptr) return;
  FILE* file = fopen(path, "rb");
  if (file == nullptr) Die(path);
  const size_t size = fread(bundle, 1, sizeof(bundle), file);
  if (size == sizeof(bundle) && fgetc(file) != EOF) {
    fprintf(stderr, "%s is larger than the flash for it\n", path);
    exit(1);
  }
  fclose(file);
}

void FindBuildId() {
  Elf64_Ehdr image;
  memcpy(&image, __ehdr_start, sizeof(image));
  for (int i = 0; i < image.e_phnum; ++i) {
    Elf64_Phdr header;
    memcpy(&header, __ehdr_start + image.e_phoff + i * sizeof(header), sizeof(header));
    if (header.p_type != PT_NOTE) continue;
    const uint8_t* at = __ehdr_start + header.p_vaddr;
    const uint8_t* end = at + header.p_memsz;
    while (at + sizeof(Elf64_Nhdr) <= end) {
      Elf64_Nhdr note;
      memcpy(&note, at, sizeof(note));
      const uint8_t* content = at + sizeof(note) + (note.n_namesz + 3) / 4 * 4;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_descsz == kBuildIdSize) {
        memcpy(build_id, content, kBuildIdSize);
        return;
      }
      at = content + (note.n_descsz + 3) / 4 * 4;
    }
  }
}

}  // namespace

void Init() {
  LoadBundle(getenv("TINYMIA_BUNDLE"));
  FindBuildId();
  const int port = NumberFromEnvironment("TINYMIA_PORT");
  listener = NumberFromEnvironment("TINYMIA_LISTEN_FD");
  if (listener < 0 && port >= 0) Listen(port);
  const int connection = NumberFromEnvironment("TINYMIA_CONNECTION_FD");
  if (connection >= 0) {
    input = output = connection;
  } else if (listener >= 0) {
    Accept();
  }
}

uint32_t Read(uint8_t* dst, uint32_t max) {
  pollfd ready = {input, POLLIN, 0};
  if (max == 0 || poll(&ready, 1, 0) <= 0) return 0;
  const ssize_t count = read(input, dst, max);
  if (count > 0) return static_cast<uint32_t>(count);
  HangUp();
  return 0;
}

void Write(const uint8_t* src, uint32_t size) {
  while (size > 0) {
    const ssize_t count =
        listener >= 0 ? send(output, src, size, MSG_NOSIGNAL) : write(output, src, size);
    if (count <= 0) return;  // Read() notices that the other end is gone
    src += count;
    size -= static_cast<uint32_t>(count);
  }
}

void WaitForInput() {
  pollfd ready = {input, POLLIN, 0};
  poll(&ready, 1, -1);
}

uint32_t InputOverruns() { return 0; }

uint32_t Ticks() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint32_t>(static_cast<uint64_t>(now.tv_sec) * 1000000000u +
                               static_cast<uint64_t>(now.tv_nsec));
}

TickSource GetTickSource() { return TickSource::kHost; }

uint32_t TicksPerSecond() { return 1000000000; }

uint32_t CoreClockHz() { return 0; }

// Not watched: the sanitizers' frames say nothing about a board's.
uint32_t StackSize() { return 0; }
uint32_t StackHighWater() { return 0; }

bool Entropy(uint32_t* words, uint32_t count) {
  const char* broken = getenv("TINYMIA_BROKEN_ENTROPY");
  if (broken != nullptr && access(broken, F_OK) == 0) return false;
  const ssize_t bytes = static_cast<ssize_t>(count * sizeof(uint32_t));
  return getrandom(words, static_cast<size_t>(bytes), 0) == bytes;
}

uint8_t* ArenaBase() { return arena; }
uint32_t ArenaSize() { return kArenaSize; }
Region BundleRegion() { return {bundle, kBundleCapacity}; }
const uint8_t* BuildId() { return build_id; }
const char* BoardName() { return "native"; }
FaultRecord LastFault() { return {}; }

void Reset() {
  // The line stays open, as a board's does.
  char number[16];
  if (listener >= 0) {
    snprintf(number, sizeof(number), "%d", listener);
    setenv("TINYMIA_LISTEN_FD", number, 1);
    snprintf(number, sizeof(number), "%d", input);
    setenv("TINYMIA_CONNECTION_FD", number, 1);
  }
  char program[] = "/proc/self/exe";
  char* const arguments[] = {program, nullptr};
  execv(program, arguments);
  Die("execv");
}

}  // namespace tinymia::hal
