"""Stress: kills, signals, faults of the world, hostile files, noise and long runs, counted. ``make torture`` runs all of it.

Each group is a function of a folder to work in, a random seed and a size; tests/stress/test_short.py calls the same functions with small
sizes.
"""
