"""What asks a board for times: of a library, of kernels, of candidates, of libraries in turn."""
