"""Contestants in processes of their own, which take turns in one run.

Each process builds its work once and then waits (blocked on a pipe, so it costs nothing) for its turn. Rounds go
through all contestants again and again, so that a machine that slows down slows all of them.
"""

import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reslab.engines.hardware import collect_environment
from reslab.system.files import to_json, write_atomically

RESULTS = Path(__file__).parents[1] / "results" / "bench"


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something to be compared.

    Attributes:
        name: As the tables have it.
        what: What it does, in words.
        work: Its function in `benchmarks.work`.
    """

    name: str
    what: str
    work: str


class _Process:
    def __init__(self, contestant: Contestant) -> None:
        command = [sys.executable, "-m", "benchmarks.work", contestant.work]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = self._read()

    def turn(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with exit code {self._process.wait()}")
        return json.loads(line)


def hold(name: str, title: str, contestants: list[Contestant], *, rounds: int = 5, seconds: float = 8.0) -> Path:
    """Let the contestants take turns; write their rates and ratios to the first one's; return the file."""
    processes = {contestant.name: _Process(contestant) for contestant in contestants}
    for process in processes.values():
        process.turn(seconds / 2)  # warms up
    rates: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        for label, process in processes.items():
            time.sleep(0.2)
            rates[label].append(process.turn(seconds)["images_per_second"])
        print(
            f"{name} round {number + 1}/{rounds}: " + ", ".join(f"{k} {v[-1]:.1f}" for k, v in rates.items()),
            flush=True,
        )
    for process in processes.values():
        process.close()
    rows = [_row(contestant, rates, contestants[0].name, processes) for contestant in contestants]
    return save(name, {"title": title, "rounds": rounds, "seconds_per_turn": seconds, "rows": rows})


def _row(
    contestant: Contestant, rates: dict[str, list[float]], base: str, processes: dict[str, _Process]
) -> dict[str, Any]:
    ratios = [own / first for own, first in zip(rates[contestant.name], rates[base], strict=True)]
    return {
        "name": contestant.name,
        "what": contestant.what,
        "images_per_second": [round(rate, 1) for rate in rates[contestant.name]],
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "facts": processes[contestant.name].facts,
    }


def save(name: str, values: dict[str, Any]) -> Path:
    """Write a benchmark's JSON with its environment below results/bench."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    write_atomically(path, to_json({"name": name, **values, "environment": asdict(collect_environment())}))
    print(f"{path.name} written", flush=True)
    return path
