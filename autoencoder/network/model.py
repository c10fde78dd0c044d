"""The network: an LSTM autoencoder in Keras, layers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Architecture:
    """Shape of the network; two equal architectures share one compiled training step."""

    steps: int  # T, steps in a window
    features: int  # F, values a step
    units: tuple[int, ...] = (32,)  # of each encoder LSTM layer from the outside in; the decoder mirrors them
    latent_dim: int = 8  # size of the code between encoder and decoder
    dropout: float = 0.0  # share of the code that is dropped in training
    horizon: int = 1  # newest steps that the encoder does not see, so that they must be expected and cannot be copied


def build(architecture: Architecture) -> Any:
    """Keras model (N, T, F) -> (N, T, F): encoder LSTM - latent - repeat - decoder LSTM - dense."""
    import keras
    from keras import layers

    horizon = architecture.horizon
    window = keras.Input((architecture.steps, architecture.features), name="window")  # (N, T, F)
    x = layers.Cropping1D((0, horizon), name="seen")(window) if horizon else window  # (N, T - horizon, F)
    for depth, units in enumerate(architecture.units):
        last = depth == len(architecture.units) - 1
        x = layers.LSTM(units, return_sequences=not last, name=f"encoder_{depth}")(x)  # (N, H) at last
    x = layers.Dense(architecture.latent_dim, name="latent")(x)  # (N, latent)
    if architecture.dropout:
        x = layers.Dropout(architecture.dropout, name="dropout")(x)
    x = layers.RepeatVector(architecture.steps, name="repeat")(x)  # (N, T, latent)
    for depth, units in enumerate(reversed(architecture.units)):
        x = layers.LSTM(units, return_sequences=True, name=f"decoder_{depth}")(x)  # (N, T, H)
    reconstruction = layers.Dense(architecture.features, name="reconstruction")(x)  # (N, T, F)
    return keras.Model(window, reconstruction, name="lstm_autoencoder")
