"""Parts that the dense algorithms share: borders, epilogues, packed weights, tiles in registers."""
