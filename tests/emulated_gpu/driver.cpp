// libcuda.so.1 of a GPU that is none: a block's threads are fibers of one host thread, blocks run in turn.
#include <dlfcn.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels.h"

namespace {

constexpr int kThreads = 1024, kStackBytes = 1 << 16, kNotFound = 500, kInvalid = 1, kMajor = 75, kMinor = 76;

enum class State { ready, at_barrier, at_shuffle, done };

struct Function {
  void (*call)(void *, ...);
  Running *running;
  int arity;
};

struct Launch {
  unsigned grid[3], block[3], shared_bytes;
};

Function *function;
void **arguments;
ucontext_t scheduler, fibers[kThreads];
State states[kThreads];
float given[kThreads];
char *stacks = static_cast<char *>(std::malloc(size_t(kThreads) * kStackBytes));

void wait_as(State state) {
  unsigned number = function->running->number;
  states[number] = state;
  swapcontext(&fibers[number], &scheduler);
}

void barrier() { wait_as(State::at_barrier); }

float shuffled(float value, unsigned from) {
  given[function->running->number] = value;
  wait_as(State::at_shuffle);
  float found = given[from];
  wait_as(State::at_shuffle);
  return found;
}

void fiber() {
  void *a[12] = {};
  for (int i = 0; i < function->arity; ++i) a[i] = *static_cast<void **>(arguments[i]);
  function->call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11]);
  wait_as(State::done);
}

bool release(State waiting, int threads) {
  bool any = false;
  for (int i = 0; i < threads; ++i) {
    if (states[i] == waiting) {
      states[i] = State::ready;
      any = true;
    }
  }
  return any;
}

void run_block(const Launch &launch, Index block) {
  int threads = launch.block[0] * launch.block[1] * launch.block[2];
  for (int i = 0; i < threads; ++i) {
    getcontext(&fibers[i]);
    fibers[i].uc_stack.ss_sp = stacks + size_t(i) * kStackBytes;
    fibers[i].uc_stack.ss_size = kStackBytes;
    fibers[i].uc_link = nullptr;
    makecontext(&fibers[i], fiber, 0);
    states[i] = State::ready;
  }
  do {
    for (int i = 0; i < threads; ++i) {
      if (states[i] != State::ready) continue;
      unsigned x = i % launch.block[0], y = i / launch.block[0] % launch.block[1];
      unsigned z = i / (launch.block[0] * launch.block[1]);
      *function->running = {{x, y, z}, block, unsigned(i), barrier, shuffled};
      swapcontext(&scheduler, &fibers[i]);
    }
  } while (release(State::at_shuffle, threads) || release(State::at_barrier, threads));
}

}  // namespace

extern "C" {

int cuInit(unsigned) { return 0; }

int cuDeviceGet(int *device, int) {
  *device = 0;
  return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int) {
  *value = attribute == kMajor ? 8 : attribute == kMinor ? 7 : 0;
  return 0;
}

int cuDeviceGetName(char *name, int length, int) {
  std::snprintf(name, length, "emulated");
  return 0;
}

int cuGetErrorName(int, const char **name) {
  *name = "an error of the emulated GPU";
  return 0;
}

int cuGetErrorString(int error, const char **text) { return cuGetErrorName(error, text); }

int cuModuleLoadData(void **module, const void *image) {
  auto bytes = static_cast<const unsigned char *>(image);
  if (std::memcmp(bytes, "\x7f" "ELF", 4) != 0) return kInvalid;
  uint64_t sections;
  uint16_t entry, count;
  std::memcpy(&sections, bytes + 40, 8);
  std::memcpy(&entry, bytes + 58, 2);
  std::memcpy(&count, bytes + 60, 2);
  char path[] = "/tmp/emulated-gpu-XXXXXX";
  int file = mkstemp(path);
  size_t size = sections + size_t(entry) * count;
  bool written = write(file, bytes, size) == ssize_t(size);
  close(file);
  *module = written ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
  unlink(path);
  return *module == nullptr ? kInvalid : 0;
}

int cuModuleUnload(void *) { return 0; }

int cuModuleGetFunction(void **found, void *module, const char *name) {
  void *call = dlsym(module, name);
  auto arity = static_cast<int *>(dlsym(module, (std::string(name) + "_arity").c_str()));
  if (call == nullptr || arity == nullptr) return kNotFound;
  auto running = static_cast<Running *>(dlsym(module, "running"));
  *found = new Function{reinterpret_cast<void (*)(void *, ...)>(call), running, *arity};
  return 0;
}

int cuFuncSetAttribute(void *, int, int) { return 0; }

int cuTensorMapEncodeTiled() { return kInvalid; }

int cuLaunchKernelEx(const Launch *launch, void *called, void **given_arguments, void **) {
  if (launch->block[0] * launch->block[1] * launch->block[2] > kThreads) return kInvalid;
  function = static_cast<Function *>(called);
  arguments = given_arguments;
  for (unsigned z = 0; z < launch->grid[2]; ++z)
    for (unsigned y = 0; y < launch->grid[1]; ++y)
      for (unsigned x = 0; x < launch->grid[0]; ++x) run_block(*launch, {x, y, z});
  return 0;
}
}
