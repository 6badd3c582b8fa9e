"""What the points of a command came to: the table, marks on their runs, models that MLflow can load."""
