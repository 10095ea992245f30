"""The type of flags that take a whole number."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token


def _parse(_: object, tokens: Sequence[Token]) -> int:
    """Return the number; ValueError for all else: the parser of flags by itself makes 2 of "1.5" and 0 of "0.5"."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number.") from None


Whole = Annotated[int, Parameter(converter=_parse)]
