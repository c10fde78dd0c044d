"""The command ``train``: models of a source, saved for others."""

from __future__ import annotations

from autoencoder.commands.setup import RunOptions, import_training, naming, open_folder, too_short, train_network
from autoencoder.config import Config, dump
from autoencoder.console import Console, Stopwatch
from autoencoder.core.errors import RunError
from autoencoder.factory.runs import is_at_hand, make_panel
from autoencoder.factory.sources import open_source
from autoencoder.interrupts import SignalGuard
from autoencoder.models import save_model
from autoencoder.reports.run_folder import CONFIG


def train(config: Config, options: RunOptions, console: Console) -> int:
    """Train on the training part of a source, or of each of its series, and save the model. Returns the exit code."""
    watch = Stopwatch(options.began)
    with SignalGuard() as signals, open_folder(options, f"{config.source}-model", signals) as folder:
        with watch.part("source"):
            source = open_source(config, console.print)
        panel = make_panel(config, source, None, console.print, console.progress("training"), adapts=False)
        import_training(config, watch)
        with console.bars(), naming(source):
            train_network(source, panel)
            rows = 0
            for chunk in source.chunks():
                rows += len(chunk)
                panel.process(chunk, source.series)
                if panel.is_fitted and not (source.has_series and is_at_hand(source)):
                    break
            panel.require_scored()
            if not panel.has_model:
                raise too_short(panel, rows)
        folder.write(CONFIG, dump(config))
        if reason := save_model(folder, config.detector, panel):
            raise RunError(reason)
        watch.seconds["training"] = panel.training_seconds
        folder.write_metrics({"status": "trained", "training": panel.info(), "seconds": watch.report()})
        folder.close()
    trained = f"{source.name}: trained on {panel.training_points:,} points in {panel.training_seconds:.1f} s"
    console.print(f"{trained}; use it with --model {folder.path}")
    return 0
