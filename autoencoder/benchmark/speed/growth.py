"""Growth: how the time grows with the number of points, the length of the window and the number of streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoencoder.benchmark.speed.measure import Spread, number
from autoencoder.benchmark.speed.subject import Model, train_model
from autoencoder.config import Config
from autoencoder.reports.plotting import DOTS_PER_INCH, save

SIZE = (11.0, 7.5)  # inches


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity as the work grows.

    Attributes:
        work: what grows.
        unit: of the quantity.
        sizes: of the work.
        values: the quantity at each of them.
    """

    work: str
    unit: str
    sizes: tuple[int, ...]
    values: tuple[Spread, ...]

    @property
    def exponent(self) -> float:
        """Slope in the log-log picture: 1 where it grows as the work does, 0 where it stays; NaN for a single size."""
        return growth_exponent(self.sizes, [value.median for value in self.values])


def growth_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Exponent e of values ~ sizes ** e, by least squares of the logarithms; NaN for fewer than two sizes.

    >>> round(growth_exponent([10, 100, 1000], [2.0, 20.0, 200.0]), 6)
    1.0
    """
    if len(sizes) < 2:
        return float("nan")
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def with_window(config: Config, steps: int) -> Model:
    """A model with windows of so many steps, hardly trained: what a window costs does not depend on what was learnt."""
    network = config.network.model_copy(update={"window": steps, "sequence_length": steps})
    training = config.training.model_copy(update={"max_steps": 1})
    return train_model(config.model_copy(update={"network": network, "training": training}))


def draw_growth(curves: Mapping[str, Curve], path: Path) -> None:
    """Write the picture: a panel a curve, logarithmic in both directions, with a line along which twice the work takes twice as much.

    Raises:
        RunError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    rows = -(-len(curves) // 2)
    for place, (title, curve) in enumerate(curves.items(), start=1):
        _draw(figure.add_subplot(rows, 2, place), title, curve)
    save(figure, path)


def _draw(axes: Any, title: str, curve: Curve) -> None:
    medians = np.array([value.median for value in curve.values])
    below = medians - [value.low for value in curve.values]
    above = np.array([value.high for value in curve.values]) - medians
    axes.errorbar(curve.sizes, medians, yerr=[below, above], marker="o", capsize=3, color="C0")
    axes.plot(curve.sizes, medians[0] * np.array(curve.sizes) / curve.sizes[0], linestyle=":", color="0.6", label="as the work")
    axes.set(xscale="log", yscale="log", xlabel=curve.work, ylabel=curve.unit)
    axes.set_title(f"{title}: exponent {curve.exponent:.2f}")
    axes.set_xticks(curve.sizes, [f"{size:,}" for size in curve.sizes])  # what was measured, and no powers of ten
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: number(value))
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    axes.grid(True, which="major", color="0.9")
    axes.legend(frameon=False)
