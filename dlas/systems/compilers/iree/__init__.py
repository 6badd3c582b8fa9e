"""IREE, which takes ONNX files by MLIR and compiles them by LLVM."""
