"""Public API: what ``import autoencoder`` offers, for pandas, numpy and plain numbers."""
