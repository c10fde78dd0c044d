"""Reports: what a run writes down and shows; they read detections and nothing else."""
