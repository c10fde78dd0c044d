"""The network: windows, model, training, runtime."""
