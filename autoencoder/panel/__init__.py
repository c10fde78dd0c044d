"""Panel: all series of a source; each has a detector and an incident tracker of its own, and LSTM autoencoders share one network."""
