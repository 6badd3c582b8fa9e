"""AOTInductor, which compiles a network by PyTorch and a C++ compiler."""
