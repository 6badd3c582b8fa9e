"""ncnn, Tencent's runtime for phones, which takes PyTorch's networks by pnnx."""
