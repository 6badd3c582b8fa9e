"""TVM as the compiler: kernels scheduled and built, the library linked for its target."""
