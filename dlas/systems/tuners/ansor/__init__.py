"""Ansor, the auto-scheduler of TVM 0.19, and the way of its schedules to today's TVM."""
