"""Lines of text to chunks: one way for files, files that grow, and pipes.

bytes -> ``lines`` -> ``formats`` (fields) -> ``layout`` (which column is which) -> ``cells`` (numbers, times) -> ``rows`` (chunks).
"""
