"""The way from PyTorch's graph to the program: operators, convolutions with their epilogues, layouts."""
