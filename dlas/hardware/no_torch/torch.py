"""No torch."""

raise ModuleNotFoundError("torch is kept out of this process", name="torch")
