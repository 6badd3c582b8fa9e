"""Parts that the schedules for GPUs share."""
