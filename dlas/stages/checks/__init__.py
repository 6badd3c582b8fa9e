"""Stages that try what is declared before anything is trained: images, networks, their way to kernels."""
