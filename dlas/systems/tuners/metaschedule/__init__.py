"""MetaSchedule, TVM's own search, in a process of its own."""
