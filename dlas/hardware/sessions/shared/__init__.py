"""What several runners have in common."""
