"""What flags have in common: their types, and the groups in which help shows them."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Group, Parameter, Token

OPTIONS = Group("Options", sort_key=0)
RUN = Group("Run", sort_key=1)
DATA = Group("Data", sort_key=2)
MODEL = Group("Network", sort_key=3)
VIEWS = Group("Images", sort_key=4)
OUTPUT = Group("Output", sort_key=5)
HEAT_MAPS = Group("Heat maps", sort_key=6)


def _parse_whole_number(_: object, tokens: Sequence[Token]) -> int:
    """Read a whole number; cyclopts would read "1.5" as 2 and "0.5" as 0."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number.") from None


WholeNumber = Annotated[int, Parameter(converter=_parse_whole_number)]
Switch = Annotated[bool, Parameter(negative=(), show_default=False)]  # a flag without a value, off unless given
JsonSwitch = Annotated[bool, Parameter(negative=(), show_default=False, group=OUTPUT)]
# a first word; a flag in its place is taken for it, so that the error can say what comes first
FirstWord = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
Overrides = Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]  # --part.name VALUE, for the config
