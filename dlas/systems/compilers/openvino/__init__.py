"""OpenVINO, which takes ONNX files and has kernels of its own."""
