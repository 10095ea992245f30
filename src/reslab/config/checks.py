"""What every part of a configuration does with a bad value."""

from reslab.errors import UsageError


def require(condition: bool, field_name: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{field_name} is {value!r}; allowed: {allowed}.")
