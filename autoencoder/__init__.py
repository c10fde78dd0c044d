"""Finds anomalies in streams of numbers with an LSTM autoencoder and a dynamic threshold."""
