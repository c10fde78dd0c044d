"""Dashboard: the same runs as on the command line, started and watched in a browser."""
