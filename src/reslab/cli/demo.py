"""`reslab demo`."""

from pathlib import Path


def demo(*, run_dir: Path = Path("runs/demo"), minutes: float = 3.5, seeds: int = 5) -> int:
    """Train plain and residual networks of 20 and 56 layers on real digits, and see the difference.

    Parameters
    ----------
    run_dir
        Where the runs and the page that compares them go; finished runs there are used again.
    minutes
        Start no further round of seeds that would end after this time.
    seeds
        At most this many seeds.
    """
    from reslab.experiments.demo import run_demo
    from reslab.progress import make_progress

    done = run_demo(run_dir, minutes=minutes, max_seeds=seeds, observe=make_progress)
    return _conclude(run_dir, done)


def _conclude(run_dir: Path, done: "object") -> int:
    raise NotImplementedError
