// libcudart.so.13 of a GPU that is none: its memory is the host's, and its work is done when it was begun.
#include <cstdlib>
#include <cstring>

namespace {
constexpr int kNotSupported = 801, kAlignment = 256;
}

extern "C" {

int cudaGetDeviceCount(int *count) {
  *count = 1;
  return 0;
}

int cudaGetDevice(int *device) {
  *device = 0;
  return 0;
}

int cudaSetDevice(int) { return 0; }

int cudaDeviceGetAttribute(int *value, int attribute, int) {
  switch (attribute) {
    case 1: *value = 1024; break;   // threads of a block
    case 8: *value = 49152; break;  // its shared memory
    case 10: *value = 32; break;    // threads of a warp
    case 75: *value = 8; break;     // compute capability
    case 76: *value = 7; break;
    default: *value = 1;
  }
  return 0;
}

int cudaGetDeviceProperties(void *, int) { return kNotSupported; }

int cudaMalloc(void **memory, size_t bytes) {
  *memory = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  return 0;
}

int cudaMallocHost(void **memory, size_t bytes) { return cudaMalloc(memory, bytes); }

int cudaFree(void *memory) {
  std::free(memory);
  return 0;
}

int cudaFreeHost(void *memory) { return cudaFree(memory); }

int cudaMemGetInfo(size_t *free, size_t *total) {
  *free = *total = size_t(1) << 30;
  return 0;
}

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int, void *) {
  std::memcpy(to, from, bytes);
  return 0;
}

int cudaMemcpyPeerAsync(void *to, int, const void *from, int, size_t bytes, void *) {
  std::memcpy(to, from, bytes);
  return 0;
}

const char *cudaGetErrorName(int) { return "an error of the emulated GPU"; }
const char *cudaGetErrorString(int) { return "an error of the emulated GPU"; }
int cudaGetLastError() { return 0; }
int cudaPeekAtLastError() { return 0; }
int cudaStreamSynchronize(void *) { return 0; }
int cudaStreamCreate(void **) { return kNotSupported; }
int cudaStreamCreateWithFlags(void **, unsigned) { return kNotSupported; }
int cudaStreamDestroy(void *) { return 0; }
int cudaStreamWaitEvent(void *, void *, unsigned) { return 0; }
int cudaStreamBeginCapture(void *, int) { return kNotSupported; }
int cudaStreamEndCapture(void *, void **) { return kNotSupported; }
int cudaEventCreate(void **) { return kNotSupported; }
int cudaEventDestroy(void *) { return 0; }
int cudaEventRecord(void *, void *) { return 0; }
int cudaEventSynchronize(void *) { return 0; }
int cudaEventElapsedTime(float *, void *, void *) { return kNotSupported; }
int cudaGraphInstantiate(void **, void *, unsigned long long) { return kNotSupported; }
int cudaGraphLaunch(void *, void *) { return kNotSupported; }
int cudaGraphDestroy(void *) { return 0; }
int cudaGraphExecDestroy(void *) { return 0; }
}
