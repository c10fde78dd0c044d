"""Fleet: the panel as an operator of Spark, for series that are too many for one machine."""
