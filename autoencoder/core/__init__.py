"""Core: the types, errors and saved states that every other part uses."""
