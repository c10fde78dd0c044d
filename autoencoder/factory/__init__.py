"""Factory: a configuration -> sources, detectors, a run with its sinks. What is below here takes plain values."""
