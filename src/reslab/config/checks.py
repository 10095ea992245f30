"""The check of a single setting."""

from reslab.errors import UsageError


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Check a setting.

    Args:
        condition: What must hold.
        key: The setting's name.
        value: Its value.
        allowed: What is allowed, in words.

    Raises:
        UsageError: `condition` is false.
    """
    if not condition:
        raise UsageError(f"{key} is {value!r}; allowed: {allowed}.")
