"""Many series in one file: each judged on its own, with one network for all."""
