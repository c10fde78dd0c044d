"""Benchmarks: how good and how fast the detectors are."""
