"""Tables over observations: what each says, and how it is written."""
