"""How long an experiment's networks were trained, in words: what a verdict of a short training is about."""

from reslab.config import from_dict

from .evidence import Evidence

_FITTED = 0.1  # % of clean training error


def budget_in_words(evidence: Evidence) -> str:
    """Return a sentence for what a training shorter than the paper's compares; nothing at the paper's length.

    An error after six epochs tells how fast a network gets there, not where it would end; unless it is there.
    """
    if evidence.size == "paper":
        return ""
    epochs = sorted({round(_epochs(evidence, arm)) for arm in evidence.records})
    number = f"an equal budget of {epochs[0]} epochs" if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]} epochs"
    if max(max(evidence.errors(arm, "train")) for arm in evidence.records) < _FITTED:
        return f" This is at {number}, after which every net fits its training images."
    return f" This is at {number}: it compares the speed of optimisation, not the errors after convergence."


def _epochs(evidence: Evidence, arm: str) -> float:
    record = evidence.records[arm][0]
    train = from_dict(record.config()).train
    return train.iterations * train.batch_size / record.values["train_size"]
