"""Tables over measured points: what each says, and how it is written."""
