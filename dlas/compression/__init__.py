"""Layer 3: compression, which makes a trained network cheaper. See `dlas.interfaces.compression`.

Several can be chosen, each on what the one before it left: compression=[channel_pruning,int8]. An option's
YAML opens with `# @package compression.<name>`, so that its settings stand under its name.
"""
