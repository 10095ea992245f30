"""What came out of a comparison."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """What came out for one file.

    Attributes:
        file: Its path, today's.
        compared: How many values were compared.
        differences: Each in words.
        remark: What was compared less strictly, and why.
    """

    file: str
    compared: int
    differences: tuple[str, ...]
    remark: str = ""
