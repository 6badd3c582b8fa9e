"""What MLflow's UI shows of a sweep: the page of its points, what its run tells."""
