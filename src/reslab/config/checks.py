"""The check of a single setting."""

from reslab.errors import UsageError


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Raise UsageError, which names the setting and what it may be, unless `condition` holds."""
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}.")
