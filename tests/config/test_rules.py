"""The rules of the configuration: each fault is one sentence that names its place."""

from __future__ import annotations

import pytest

from autoencoder.config import difference, dump, load
from autoencoder.core.errors import ConfigError

NIGHTS = "{start: '2024-01-01 22:00', duration: 8 h, rrule: FREQ=DAILY}"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("[{}, {}, {zone: Mars/Olympus}]", ["rules[2].zone is 'Mars/Olympus'", "Europe/Berlin"]),
        (
            "[{quiet: [{start: '2024-01-01 22:00', duration: 8 h, rrule: FREQ=NEVER}]}]",
            ["rules[0].quiet[0].rrule is 'FREQ=NEVER'"],
        ),
        (  # in UTC a window comes before that end, by the clock of New York none does
            f"[{{zone: America/New_York, quiet: [{NIGHTS}, {NIGHTS.replace('DAILY', 'DAILY;UNTIL=20240101T230000Z')}]}}]",
            ["rules[0].quiet[1].rrule is 'FREQ=DAILY;UNTIL=20240101T230000Z'", "no window ever comes"],
        ),
        ("[{quiet: [{start: '22:00', duration: 8 h}]}]", ["rules[0].quiet[0].start is '22:00'", "a day and a time"]),
        ("[{quiet: [{start: '2024-01-01 22:00', duration: soon}]}]", ["rules[0].quiet[0].duration is 'soon'", "a duration"]),
        ("[{quiet: [{duration: 8 h}]}]", ["rules[0].quiet[0].start is missing"]),
        ("[{quiet: [{start: '2024-01-01 22:00', duration: 8 h, zone: UTC}]}]", ["rules[0].quiet[0].zone is not a setting"]),
        ("[{holidays: Atlantis}]", ["rules[0].holidays is 'Atlantis'", "DE-BY"]),
        ("[{holidays: DE-XX}]", ["rules[0].holidays is 'DE-XX'"]),
        ("[{dirction: up}]", ["rules[0].dirction is not a setting; did you mean rules[0].direction?"]),
        ("[{direction: sideways}]", ["rules[0].direction is 'sideways'", "'up', 'down' or 'both'"]),
        ("[{min_deviation: a lot}]", ["rules[0].min_deviation is 'a lot'", "'20 %'"]),
        ("[{budget: 3}]", ["rules[0].budget is 3", "1 per day"]),
        ("[{no_data: 0 min}]", ["rules[0].no_data is '0 min'", "a duration"]),
        ("up", ["rules is 'up'", "a list"]),
    ],
)
def test_a_fault_names_its_place(rules: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as fault:
        load(None, texts=[f"rules={rules}"])
    message = str(fault.value)
    assert all(word in message for word in words) and "\n" not in message, message


def test_rules_survive_the_run_folder_and_may_change_in_it() -> None:
    rules = f"[{{series: a*, budget: 1 per day, quiet: [{NIGHTS}], holidays: DE-BY, min_deviation: 20 %, no_data: 10 min}}]"
    then, other = (load(None, texts=[f"rules={text}"]) for text in (rules, rules.replace("8 h", "9 h").replace("10 min", "1 h")))
    assert difference(dump(then), dump(other)) is None
    assert "rules was" in str(difference(dump(then), dump(load(None, texts=["rules=[{series: b*, budget: 1 per day}]"]))))
