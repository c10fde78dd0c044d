"""Reports: everything that only reads verdicts."""
