"""`python -m dlas.stages`: what is stored, why a key differs, clearing."""
