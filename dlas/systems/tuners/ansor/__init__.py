"""Ansor, the auto-scheduler of TVM 0.19, and the conversion of its schedules to today's TVM."""
