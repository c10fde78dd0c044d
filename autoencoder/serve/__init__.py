"""Serve: the run loop behind HTTP: requests are its source, what becomes of their points is the answer."""
