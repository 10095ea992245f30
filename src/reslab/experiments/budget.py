"""How long an experiment's networks were trained, in words: what a verdict of a short training is about."""

from collections.abc import Mapping

from reslab.config import from_dict

from .evidence import Evidence

_FITTED = 0.1  # % of clean training error


def budget_in_words(evidence: Evidence, iterations: Mapping[str, int] | None = None) -> str:
    """Return a sentence for what a training shorter than the paper's compares; nothing at the paper's length.

    An error after six epochs tells how fast a network gets there, not where it would end; unless it is there.
    iterations: for each arm those behind its weights, where they are not its own alone.
    """
    if evidence.size == "paper":
        return ""
    counts = iterations or {arm: evidence.iterations(arm) for arm in evidence.records}
    found = sorted(_epochs(evidence, arm, count) for arm, count in counts.items())
    shown = list(dict.fromkeys(f"{epochs:.2g}" for epochs in found))
    number = f"an equal budget of {shown[0]} epochs" if len(shown) == 1 else f"{shown[0]} to {shown[-1]} epochs"
    if max(max(evidence.errors(arm, "train")) for arm in evidence.records) < _FITTED:
        return f" This is at {number}, after which every net fits its training images."
    return f" This is at {number}: it compares the speed of optimisation, not the errors after convergence."


def _epochs(evidence: Evidence, arm: str, iterations: int) -> float:
    record = evidence.records[arm][0]
    return iterations * from_dict(record.config()).train.batch_size / record.values["train_size"]
