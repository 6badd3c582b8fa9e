// CUDA C++ as a host's compiler takes it: one thread runs at a time, and the driver says which.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

struct Index {
  unsigned x, y, z;
};

struct Running {
  Index thread, block;
  unsigned number;                                    // of the thread in its block
  void (*barrier)();
  float (*shuffled)(float value, unsigned from);      // what that thread of the block gives
};

extern "C" {
Running running;
}

#define threadIdx running.thread
#define blockIdx running.block
#define __global__
#define __launch_bounds__(threads)

#define VECTORS(type, name)                                                          \
  struct alignas(2 * sizeof(type)) name##2 { type x, y; };                           \
  struct alignas(4 * sizeof(type)) name##4 { type x, y, z, w; };                     \
  static inline name##2 make_##name##2(type x, type y) { return {x, y}; }            \
  static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

VECTORS(float, float)
VECTORS(int, int)

static inline void __syncthreads() { running.barrier(); }
static inline unsigned __activemask() { return ~0u; }

static inline float __shfl_sync(unsigned, float value, unsigned lane, unsigned width) {
  unsigned warp = running.number / width * width;
  return running.shuffled(value, warp + lane % width);
}

static inline float __shfl_down_sync(unsigned, float value, unsigned offset, unsigned width) {
  unsigned warp = running.number / width * width, lane = running.number % width + offset;
  return running.shuffled(value, lane < width ? warp + lane : running.number);
}

#define __expf expf
#define __fdividef(x, y) ((x) / (y))
using std::max;
using std::min;
