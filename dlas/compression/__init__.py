"""Layer 3: compression, which makes a trained network cheaper. One module each, light to import, with

Settings                  a frozen dataclass that extends config.Compression
compress(model, dataset, settings, train, seed, folder)
                          a new network; the given one is left as it was. A search keeps its tries in `folder`
restore(model, weights)   the same again, from its state dict as safetensors

Several can be chosen, each on what the one before it left: compression=[channel_pruning,int8]. An option's
YAML opens with `# @package compression.<name>`, so that its settings stand under its name.
"""
