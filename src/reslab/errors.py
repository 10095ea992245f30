"""The errors that reslab raises on purpose, with their exit codes.

A user's mistake is one of two kinds: a value that could never work (`UsageError`, exit code 2), or a run or a file that
did not work (`RunError`, exit code 1).
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class ReslabError(Exception):
    """Base of every error that reslab raises on purpose."""


class UsageError(ReslabError, ValueError):
    """A value is not allowed (exit code 2); the message says which values are."""


class RunError(ReslabError, RuntimeError):
    """A valid request failed: a file, the data, the machine or the training (exit code 1)."""


class NotConverted(RunError):  # noqa: N818 (the weights may be good)
    """Weights are not a model file of reslab yet, and have to be converted first.

    Attributes:
        path: The file.
        source: The `source` that converts it: "torchvision" or "cifar".
        use_ema: The `use_ema` that converts it; None where the file has only one kind of weights.
    """

    def __init__(self, path: Path, source: str, use_ema: bool | None) -> None:
        super().__init__(
            f"{path}: is not a model file of reslab. Convert it first, with source {source!r}"
            f"{' and use_ema=True' if use_ema else ''}, and start from the result."
        )
        self.path, self.source, self.use_ema = path, source, use_ema


class Interrupted(RunError):  # noqa: N818 (nobody made an error)
    """Training stopped after Ctrl-C or SIGTERM; its state was saved first (exit code 130)."""


def did_you_mean(value: object, choices: Iterable[str]) -> str:
    """Return a hint for the end of an error.

    Args:
        value: The value.
        choices: The allowed values.

    Returns:
        " Did you mean 'x'?" with the choice nearest to `value`; "" if none is near.
    """
    near = get_close_matches(str(value), list(choices), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def first_few(items: Iterable[object], limit: int = 5, separator: str = ", ") -> str:
    """Join the first items for an error, followed by how many were left out.

    Args:
        items: What to join, as `str` writes it; pass `map(repr, names)` for names in quotes.
        limit: How many to show.
        separator: Text between two items.

    Returns:
        For example "a, b, c, and 4 more".
    """
    texts = [str(item) for item in items]
    rest = [f"and {len(texts) - limit} more"] if len(texts) > limit else []
    return separator.join(texts[:limit] + rest)


def counted(number: int, noun: str) -> str:
    """Join a number and its noun, for an error or another message.

    Args:
        number: How many.
        noun: The noun for one, with a regular plural.

    Returns:
        For example "1 class", "2 classes" or "1,078 images".
    """
    # not every "ch" hisses: batches, but epochs
    hisses = noun.endswith(("s", "sh", "x", "tch", "nch"))
    ending = "" if number == 1 else "es" if hisses else "s"
    return f"{number:,} {noun}{ending}"


def check_choice(what: str, value: object, choices: Iterable[object]) -> None:
    """Check that a value is one of several.

    Args:
        what: What the value is, such as the name of a parameter.
        value: The value.
        choices: The allowed values.

    Raises:
        UsageError: It is not; the message lists the choices.
    """
    choices = list(choices)
    if value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        hint = did_you_mean(value, [str(choice) for choice in choices])
        raise UsageError(f"{what} is {value!r}; allowed: {allowed}.{hint}")
