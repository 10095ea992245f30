"""Seeds on the command line."""

from reslab.errors import UsageError


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of "0,1,2" or "0-4"; UsageError for anything else and for a seed named twice."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise UsageError(f"--seeds is {text!r}; allowed: seeds like 0,1,2 or 0-4.")
        if int(last or first) < int(first):
            raise UsageError(f"--seeds is {text!r}: the range {first}-{last} runs backwards; {last}-{first} is meant?")
        seeds += range(int(first), int(last or first) + 1)
    if len(set(seeds)) != len(seeds) or not seeds:
        raise UsageError(f"--seeds is {text!r}: every seed once.")
    return seeds
