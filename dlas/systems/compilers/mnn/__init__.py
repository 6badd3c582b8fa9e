"""MNN, Alibaba's runtime for phones, which takes ONNX files by its converter."""
