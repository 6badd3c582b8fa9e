"""What MLflow's UI opens on a sweep: the page of its points."""
