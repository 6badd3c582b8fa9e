"""The stages that make the library of a network: of chosen kernels, or by a compiler with its own."""
