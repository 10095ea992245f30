"""A page's evidence in words: how, when and on which machine its networks were trained, and for how long."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from reslab.artifacts.documents import Session
from reslab.artifacts.record import RecordedRun
from reslab.config import Constant, LinearWarmup, Plateau, RunConfig, StepDecay, UntilTrainingError
from reslab.engines.training import Engine
from reslab.system.environment import Machine

from .evidence import AnyEvidence, Made
from .statistics import spread

ERROR_COLUMNS = ("seeds", "training error, clean (%)", "test error (%)")
_DATA = {"digits": "Embedded handwritten digits", "cifar10": "CIFAR-10"}
_FITTED = 0.1  # % of clean training error


def error_cells(evidence: AnyEvidence, arm: str) -> tuple[str, str, str]:
    """Return the cells below `ERROR_COLUMNS`: number of seeds, and mean ± standard deviation of both errors."""
    train = evidence.errors(arm, "train")
    return str(len(train)), spread(train), spread(evidence.reported(arm))


def settings_in_words(evidence: AnyEvidence) -> str:
    """Return data, iterations, batch and learning rate; one part for each of the settings that networks differ in."""
    groups: dict[str, list[str]] = {}
    for arm in evidence.records:
        groups.setdefault(training_in_words(evidence.config(arm)), []).append(arm)
    first = next(iter(evidence.records.values()))[0]
    kind = evidence.config(next(iter(evidence.records))).data.kind
    data = _DATA.get(kind, first.document.dataset.name)
    if len(groups) == 1:
        return f"{data}; {next(iter(groups))}"
    parts = [f"{', '.join(arms)}: {words}" for words, arms in groups.items()]
    return f"{data}. {'. '.join(parts)}"


def training_in_words(config: RunConfig) -> str:
    """Return "510 iterations of 64 images at a learning rate of 0.05 after a linear warm-up ...", without full stop."""
    train = config.train
    return (
        f"{train.iterations:,} iterations of {train.batch_size} images at a learning rate of {config.optim.lr:g}"
        f"{_warmup_in_words(config)}{_schedule_in_words(config)}"
    )


def _warmup_in_words(config: RunConfig) -> str:
    match config.warmup:
        case LinearWarmup() as warmup:
            return f" after a linear warm-up of {warmup.iterations} iterations"
        case UntilTrainingError() as warmup:
            first = warmup.factor * config.optim.lr
            return f", {first:g} until the training error is below {warmup.below_percent:g} %"
    return ""


def _schedule_in_words(config: RunConfig) -> str:
    match config.schedule:
        case StepDecay() as schedule:
            return f", divided by {1 / schedule.gamma:g} at {' and '.join(f'{step:,}' for step in schedule.milestones)}"
        case Plateau() as schedule:
            return f", divided by {1 / schedule.factor:g} when the validation error plateaus"
        case Constant():
            return ", kept to the end"
        case other:
            return f", on the schedule {other.kind!r}"


def budget_in_words(evidence: AnyEvidence, iterations: Mapping[str, int] | None = None) -> str:
    """Return a sentence about what a training shorter than the paper's compares; nothing at the paper's length.

    An error after six epochs tells how fast a network gets there, not where it would end; unless it is there.

    Args:
        evidence: Whose networks.
        iterations: For each arm those behind its weights, where they are not its own alone.
    """
    if evidence.size == "paper":
        return ""
    counts = iterations or {arm: evidence.config(arm).train.iterations for arm in evidence.records}
    epochs = sorted(_epochs(evidence, arm, count) for arm, count in counts.items())
    shown = list(dict.fromkeys(f"{number:.2g}" for number in epochs))
    budget = f"an equal budget of {shown[0]} epochs" if len(shown) == 1 else f"{shown[0]} to {shown[-1]} epochs"
    if max(max(evidence.errors(arm, "train")) for arm in evidence.records) < _FITTED:
        return f" This is at {budget}, after which every net fits its training images."
    return f" This is at {budget}: it compares the speed of optimisation, not the errors after convergence."


def _epochs(evidence: AnyEvidence, arm: str, iterations: int) -> float:
    record = evidence.records[arm][0]
    return iterations * evidence.config(arm).train.batch_size / record.document.train_size


def engines(record: RecordedRun) -> frozenset[str]:
    """Return how a run was computed, like {"bf16, fused norm"}; several if it was resumed on another machine."""
    return frozenset(_engine(session) for session in _sessions(record))


def date_of(evidence: AnyEvidence) -> str:
    """Return the day on which the last of it was trained or measured, YYYY-MM-DD."""
    return max(_dates(_all_sessions(evidence)) + [made.date for made in _makings(evidence)])


def provenance_in_words(evidence: AnyEvidence) -> str:
    """Return sentences: when and on what the runs were trained, how long that took; when and on what was measured."""
    parts = []
    if evidence.records:
        parts.append(_trained(evidence))
        if mixed := _mixed(evidence):
            parts.append(mixed)
    if makings := _makings(evidence):
        parts.append(
            f"Measured {_join(sorted(f'{made.date} on {_machine(made.device, made.machine)}' for made in makings))}."
        )
    return " ".join(parts)


def _makings(evidence: AnyEvidence) -> list[Made]:
    """When and where it was measured, on each network and next to the runs."""
    document = evidence.document
    return [measured.made for measured in (*document.networks.values(), document.once) if measured is not None]


def _trained(evidence: AnyEvidence) -> str:
    sessions = _all_sessions(evidence)
    minutes = sum(record.document.minutes for records in evidence.records.values() for record in records)
    dates = _dates(sessions)
    machines = _join(_machine(session.device, session.machine) for session in sessions)
    kinds, sources = (_join(map(words_for, sessions)) for words_for in (_engine, _source))
    return (
        f"Trained {' to '.join(dict.fromkeys((dates[0], dates[-1])))} on {machines}, computed in {kinds}; source: "
        f"{sources}; {minutes:.1f} minutes of training, added up."
    )


def _mixed(evidence: AnyEvidence) -> str:
    """What to say where not all runs were computed alike; nothing where they were."""
    kinds = Counter(_join(sorted(engines(record))) for records in evidence.records.values() for record in records)
    if len(kinds) == 1:
        return ""
    counts = "; ".join(f"{number} runs in {kind}" for kind, number in sorted(kinds.items()))
    return f"Not all runs were computed alike ({counts}), so that a difference may come from that."


def _machine(device: str, machine: Machine) -> str:
    name = machine.cuda.name if device == "cuda" and machine.cuda else machine.cpu.name
    threads = f"{machine.threads} thread{'s' if machine.threads != 1 else ''}"
    return f"{name}, {threads}, torch {machine.packages['torch']}"


def _engine(session: Session) -> str:
    return Engine(precision=session.precision, fused_norm=session.fused_norm, compiled=session.is_compiled).label


def _source(session: Session) -> str:
    source = session.machine.source
    if source.commit is None:
        return f"reslab {session.machine.packages['reslab']}"
    return f"commit {source.commit[:7]}{' with changes' if source.is_dirty else ''}"


def _sessions(record: RecordedRun) -> Sequence[Session]:
    return record.environment().sessions


def _all_sessions(evidence: AnyEvidence) -> list[Session]:
    return [session for records in evidence.records.values() for record in records for session in _sessions(record)]


def _dates(sessions: Iterable[Session]) -> list[str]:
    return sorted(session.date for session in sessions if session.date is not None)


def _join(words: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(words))
