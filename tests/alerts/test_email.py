"""E-mail through a real SMTP server: with a picture of the incident, at least once, and with no password in any file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import numpy as np
import pytest
from helpers import cli
from helpers.cli import Outcome, Program, settings
from helpers.mail_server import HANG_UP, PASSWORD, USER, MailServer
from helpers.webhook_server import isolate
from helpers.yahoo_server import make_certificate
from PIL import Image

environment = pytest.fixture(autouse=True)(isolate)
HOSTS = ('up{host="a"}', "b")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate") / "server.pem", ["localhost"])


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    for name, value in {"SSL_CERT_FILE": str(certificate), "MAIL_USER": USER, "MAIL_WORD": PASSWORD}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two series, one of which rises for a while."""
    fields = [name.replace('"', '""') for name in HOSTS]
    times = np.datetime64("2025-03-01T00:00", "m") + np.arange(900)
    values = cli.wave(900)
    rows = (
        f'{time}Z,{value + 30 * (host == 0 and 800 <= row < 804)},"{name}"\n'
        for row, (time, value) in enumerate(zip(times, values, strict=True))
        for host, name in enumerate(fields)
    )
    (tmp_path / "load.csv").write_text("time,value,host\n" + "".join(rows))
    return tmp_path / "load.csv"


def score(program: Program, table: Path, server: MailServer, *more: str) -> Outcome:
    own = ("enabled=true", "host=localhost", f"port={server.port}", "recipients=[on-call@example.org, b@example.org]")
    login = ("user_env=MAIL_USER", "password_env=MAIL_WORD", "sender=robot@example.org")
    chosen = (*(f"email.{each}" for each in (*own, *login)), "backoff=0.01", "drain_seconds=30", *more)
    detection = (
        *cli.GAUSSIAN,
        *settings("training.points=500", "threshold.budget=0.00001", *(f"alerts.{each}" for each in chosen)),
    )
    return program("--source", "csv", "--path", table, "--series-column", "host", *detection, "--out", "o")


def picture_of(mail: EmailMessage) -> Image.Image:
    (part,) = (part for part in mail.walk() if part.get_content_type() == "image/png")
    assert part["Content-Disposition"].startswith("inline") and part["Content-ID"] == "<incident>"
    html = mail.get_body(("html",))
    assert html and 'src="cid:incident"' in html.get_content()
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return Image.open(io.BytesIO(content))


@pytest.fixture
def server(certificate: Path) -> Iterator[MailServer]:
    server = MailServer(certificate, first=["451 try later", HANG_UP])
    server.start()
    yield server
    server.stop()


def test_an_incident_is_mailed_with_its_picture(program: Program, table: Path, server: MailServer, root: Path) -> None:
    outcome = score(program, table, server, "link=https://look.example/{series}")
    (incident,) = (each for each in cli.incidents(Path("o")) if each["alarm"])
    opened, closed = server.answered
    assert outcome.code == 0 and "email: 2 alerts delivered" in outcome.err, outcome.err
    assert [mail["Message-ID"] for mail in server.mails] == [opened["Message-ID"]] * 3 + [closed["Message-ID"]]
    assert opened["Message-ID"] != closed["Message-ID"] and opened["References"] == closed["References"]
    assert (opened["From"], opened["To"]) == ("robot@example.org", "on-call@example.org, b@example.org")
    assert closed["Subject"] == "Over: anomaly in load.csv, series 'up{host=\"a\"}'"
    text = closed.get_body(("plain",))
    assert text and f"{incident['start']} to {incident['end']}" in text.get_content()
    assert "https://look.example/up%7Bhost%3D%22a%22%7D" in text.get_content()
    picture = picture_of(closed)
    picture.save(table.parent / "incident.png")
    assert picture.format == "PNG" and picture.width >= 1000
    colours = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    red = (np.abs(colours.astype(int) - [0xD1, 0x20, 0x2F]).sum(axis=1) < 12).sum()
    assert red > 50  # the flagged points
    assert PASSWORD.encode() not in b"".join(path.read_bytes() for path in Path("o").iterdir()) + outcome.err.encode()


@pytest.mark.parametrize(
    ("answers", "word", "said", "end"),
    [
        (["550 no such thing"] * 2, PASSWORD, "it answered (550); an alert that is refused is not sent again", "2 refused"),
        ([], "wrong", "the login was refused (535); alerts wait in", "2 waiting"),
    ],
)
def test_what_the_server_says_is_told(
    program: Program,
    table: Path,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[str],
    word: str,
    said: str,
    end: str,
) -> None:
    monkeypatch.setenv("MAIL_WORD", word)
    server = MailServer(certificate, answers)
    server.start()
    outcome = score(program, table, server, "email.picture=false", "drain_seconds=4")
    server.stop()
    assert outcome.code == 0 and said in outcome.err and f"email: 0 alerts delivered, {end}" in outcome.err, outcome.err
    assert all(part.get_content_type() == "text/plain" for mail in server.mails for part in mail.walk())


def test_a_server_that_nobody_vouches_for_gets_no_password(
    program: Program, table: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    outcome = score(program, table, server, "drain_seconds=4")
    assert "email: its certificate is not trusted" in outcome.err and not server.mails


def test_a_mail_is_tried_over_tls_from_the_first_byte(program: Program, certificate: Path, tmp_path: Path) -> None:
    server = MailServer(certificate, is_wrapped=True)
    server.start()
    to = "alerts.email.recipients=[on-call@example.org, nobody@example.org]"
    own = (
        "enabled=true",
        "host=localhost",
        f"port={server.port}",
        "security=ssl",
        "user_env=MAIL_USER",
        "password_env=MAIL_WORD",
    )
    outcome = program("alert-test", *settings(to, *(f"alerts.email.{each}" for each in own)))
    server.stop()
    said = ["email: it refused 1 of 2 recipients", "email: it refused 1 of 2 recipients", "email: delivered"]
    assert (outcome.code, outcome.err.splitlines(), len(server.answered)) == (0, said, 2)
    picture_of(server.answered[0]).save(tmp_path / "tried.png")
