"""What the schedules for GPUs share."""
