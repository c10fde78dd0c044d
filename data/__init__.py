"""The data layer: knows files and networks, knows no model."""
