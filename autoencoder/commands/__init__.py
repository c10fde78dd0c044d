"""Commands ``run`` and ``train``: each gets a configuration, leaves a folder and returns the exit code."""
