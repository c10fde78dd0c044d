"""Downloaded prices kept on disk, one file a request."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from data.yahoo.prices import COLUMNS, PriceRequest, Prices


def default_folder() -> Path:
    """The user's cache folder for prices: ``$XDG_CACHE_HOME/lstm-autoencoder/yahoo``, by default under ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative paths ignored.
    caches = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return caches / "lstm-autoencoder" / "yahoo"


def cache_file(folder: Path, request: PriceRequest) -> Path:
    """Where the prices of ``request`` are kept: a digest names the file, so no text of the user's reaches the path."""
    return folder / f"{hashlib.sha256(_key(request).encode()).hexdigest()[:32]}.npz"


def load_prices(folder: Path, request: PriceRequest) -> Prices | None:
    """The prices kept for ``request``; None where there are none, or where the file is damaged or of another make."""
    try:
        with np.load(cache_file(folder, request), allow_pickle=False) as archive:
            if str(archive["request"]) != _key(request):
                return None
            prices = Prices(
                time=archive["time"].astype("datetime64[ns]"),
                values=archive["values"].astype(np.float64),
                timezone=str(archive["timezone"]),
                fetched=datetime.fromtimestamp(float(archive["fetched"]), UTC),
            )
    except Exception:  # a damaged archive can raise nearly anything; the answer to all of it is to download anew
        return None
    return prices if _is_sound(prices) else None


def save_prices(folder: Path, request: PriceRequest, prices: Prices) -> None:
    """Keep the prices of ``request``: the file is there as a whole or not at all.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = cache_file(folder, request)
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.savez(
                file,
                request=_key(request),
                time=prices.time,
                values=prices.values,
                timezone=prices.timezone,
                fetched=prices.fetched.timestamp(),
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _key(request: PriceRequest) -> str:
    return json.dumps({"version": 1, **asdict(request)}, sort_keys=True)


def _is_sound(prices: Prices) -> bool:
    return prices.values.shape == (len(prices), len(COLUMNS)) and len(prices) > 0 and bool(np.all(np.diff(prices.time) > 0))
