"""Which candidate is the fastest: in turn, after a warm-up, without those that fail or are far behind."""

from collections.abc import Callable

import pytest
import torch

from reslab.engines.race import race

CPU = torch.device("cpu")


class _Track:
    """Candidates whose calls take the seconds they are told to, on a clock of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **seconds: list[float]) -> None:
        self.called: list[str] = []
        self._rest = {name: iter(times) for name, times in seconds.items()}
        monkeypatch.setattr("reslab.engines.race.seconds_of", lambda call, device: call())
        self.candidates = {name: self._maker(name) for name in seconds}

    def _maker(self, name: str) -> Callable[[], Callable[[], object]]:
        def call() -> float:
            self.called.append(name)
            return next(self._rest[name])

        return lambda: call


def test_the_shortest_call_counts_and_the_first_round_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    track = _Track(monkeypatch, a=[0.1, 4.0, 2.0], b=[9.0, 1.0, 3.0])
    assert race(track.candidates, CPU, images=8, rounds=3) == {"a": 4.0, "b": 8.0}
    assert track.called == ["a", "b"] * 3


def test_a_candidate_far_behind_is_called_no_more_but_has_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    track = _Track(monkeypatch, slow=[1.0, 1.4], near=[1.0, 1.2, 1.2], best=[9.0, 1.0, 1.0])
    rates = race(track.candidates, CPU, images=7, rounds=3, far_behind=1.3)
    assert rates == {"slow": 5.0, "near": 5.8, "best": 7.0}
    assert track.called == ["slow", "near", "best", "slow", "near", "best", "near", "best"]


@pytest.mark.parametrize("calls_before", [0, 1, 2])
def test_a_candidate_that_fails_at_any_time_is_left_out_with_its_reason(
    calls_before: int, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def fails() -> None:
        calls.append(1)
        if len(calls) > calls_before:
            raise KeyError("no such instruction\nat line 3")

    rates = race({"bad": lambda: fails, "good": lambda: lambda: None}, CPU, images=1, rounds=3)
    assert list(rates) == ["good"]
    assert "engine 'bad' fails on this machine and is left out: " in caplog.text
    assert "no such instruction" in caplog.text


def test_a_candidate_that_cannot_be_made_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    def breaks() -> Callable[[], object]:
        raise OSError

    assert race({"bad": breaks}, CPU, images=1, rounds=3) == {}
    assert "engine 'bad' fails on this machine and is left out: OSError" in caplog.text
