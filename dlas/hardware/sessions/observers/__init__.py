"""What a session observes beside its times: memory, energy, what the processor counts, what disturbs it."""
