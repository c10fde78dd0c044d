"""The PyTorch twin: the network of ``autoencoder.network.model`` with a Keras model's weights."""

from __future__ import annotations

from typing import Any


def twin(model: Any) -> Any:
    """Keras autoencoder -> torch module (N, T, F) -> (N, T, F) that computes the same.

    PyTorch's LSTM has Keras' order of gates and a second bias a gate, which stays zero.

    Raises:
        ImportError: torch is not installed.
    """
    import torch
    from torch import nn

    layers = {layer.name: layer for layer in model.layers}
    depth = sum(name.startswith("encoder_") for name in layers)
    hide = layers["seen"].cropping[1] if "seen" in layers else 0

    class Twin(nn.Module):  # type: ignore[misc] # torch is not looked into
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.ModuleList(lstm(layers[f"encoder_{number}"]) for number in range(depth))
            self.latent = dense(layers["latent"])
            self.decoder = nn.ModuleList(lstm(layers[f"decoder_{number}"]) for number in range(depth))
            self.reconstruction = dense(layers["reconstruction"])

        def forward(self, window: Any) -> Any:
            steps = window.shape[1]
            x = window[:, : steps - hide]  # (N, T - hide, F)
            for layer in self.encoder:
                x = layer(x)[0]  # (N, T - hide, H)
            x = self.latent(x[:, -1])  # (N, latent)
            x = x[:, None].expand(-1, steps, -1)  # (N, T, latent)
            for layer in self.decoder:
                x = layer(x)[0]  # (N, T, H)
            return self.reconstruction(x)  # (N, T, F)

    def lstm(layer: Any) -> Any:
        kernel, recurrent, bias = (torch.from_numpy(weights) for weights in layer.get_weights())
        out = nn.LSTM(kernel.shape[0], recurrent.shape[0], batch_first=True)
        with torch.no_grad():
            out.weight_ih_l0.copy_(kernel.T)
            out.weight_hh_l0.copy_(recurrent.T)
            out.bias_ih_l0.copy_(bias)
            out.bias_hh_l0.zero_()
        return out

    def dense(layer: Any) -> Any:
        kernel, bias = (torch.from_numpy(weights) for weights in layer.get_weights())
        out = nn.Linear(*kernel.shape)
        with torch.no_grad():
            out.weight.copy_(kernel.T)
            out.bias.copy_(bias)
        return out

    return Twin().eval()
