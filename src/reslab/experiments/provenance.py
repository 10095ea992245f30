"""On what an experiment's runs were trained and its numbers measured, in words, from the records themselves."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reslab.artifacts.record import RecordedRun
from reslab.engines.training import Engine

from .evidence import Evidence


def engines(record: RecordedRun) -> frozenset[str]:
    """Return how a run was computed, like {"bf16, fused norm"}; several if it was resumed on another machine."""
    return frozenset(_engine(session) for session in _sessions(record))


def date_of(evidence: Evidence) -> str:
    """Return the day on which the last of it was trained or measured, YYYY-MM-DD."""
    dates = [*_dates(_all_sessions(evidence)), *(made["date"] for made in _makings(evidence))]
    return max(dates, default=evidence.made["date"])  # older records have no date


def in_words(evidence: Evidence) -> str:
    """Return sentences: when and on what the runs were trained, how long that took; when and on what was measured."""
    parts = []
    if evidence.records:
        parts.append(_trained(evidence))
        if mixed := _mixed(evidence):
            parts.append(mixed)
    if makings := _makings(evidence):
        words = sorted(f"{made['date']} on {_machine(made['environment'])}" for made in makings)
        parts.append(f"Measured {_join(words)}.")
    return " ".join(parts)


def _makings(evidence: Evidence) -> list[dict[str, Any]]:
    """When and where it was measured: what has no runs, and each of the runs."""
    of_runs = [one.made for found in evidence.of_runs.values() for one in found]
    return [*of_runs, *([evidence.made] if evidence.measured or not evidence.records else [])]


def _trained(evidence: Evidence) -> str:
    sessions = _all_sessions(evidence)
    minutes = sum(record.values["minutes"] for records in evidence.records.values() for record in records)
    dates = _dates(sessions)
    when = " to ".join(dict.fromkeys((dates[0], dates[-1]))) + " " if dates else ""  # older records have no date
    machines, kinds, sources = (_join(map(of, sessions)) for of in (_machine, _engine, _source))
    return (
        f"Trained {when}on {machines}, computed in {kinds}; source: {sources}; {minutes:.1f} minutes of training, "
        "added up."
    )


def _mixed(evidence: Evidence) -> str:
    """What to say where not all runs were computed alike; nothing where they were."""
    kinds = Counter(_join(sorted(engines(record))) for records in evidence.records.values() for record in records)
    if len(kinds) == 1:
        return ""
    counts = "; ".join(f"{number} runs in {kind}" for kind, number in sorted(kinds.items()))
    return f"Not all runs were computed alike ({counts}), so that a difference may come from that."


def _machine(session: Mapping[str, Any]) -> str:
    threads = session["threads"]
    name = session["cuda"]["name"] if session.get("device", "cpu") == "cuda" else session["cpu"]["name"]
    return f"{name}, {threads} thread{'s' if threads != 1 else ''}, torch {session['packages']['torch']}"


def _engine(session: Mapping[str, Any]) -> str:
    return Engine(
        precision=session["precision"],
        fused_norm=session.get("fused_norm", False),  # records from before there was a kernel
        compiled=session["is_compiled"],
    ).label


def _source(session: Mapping[str, Any]) -> str:
    source = session["source"]
    if source["commit"] is None:
        return f"reslab {session['packages']['reslab']}"
    return f"commit {source['commit'][:7]}{' with changes' if source['is_dirty'] else ''}"


def _sessions(record: RecordedRun) -> Sequence[Mapping[str, Any]]:
    return record.environment()["sessions"]


def _all_sessions(evidence: Evidence) -> list[Mapping[str, Any]]:
    return [session for records in evidence.records.values() for record in records for session in _sessions(record)]


def _dates(sessions: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted(session["date"] for session in sessions if "date" in session)


def _join(words: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(words))
