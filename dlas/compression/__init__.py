"""Layer 3: what is done to a trained network to make it cheaper. One module each, light to import, with

Settings                                          a frozen dataclass that extends config.Compression
compress(model, dataset, settings, train, seed)   a new network; the given one is left as it was
"""
