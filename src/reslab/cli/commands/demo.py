"""`reslab demo`."""

from pathlib import Path
from typing import TYPE_CHECKING

from reslab.cli.extras import need_report_extra
from reslab.cli.output import print_table
from reslab.cli.types import WholeNumber

if TYPE_CHECKING:
    from reslab.experiments.demo import Demo


def demo(*, run_dir: Path = Path("runs/demo"), minutes: float = 3.5, seeds: WholeNumber = 5) -> int:
    """Train plain and residual networks of 20 and 56 layers on real digits, and compare them.

    Args:
        run_dir: Where the runs and the page that compares them go; finished runs are used again.
        minutes: Start no further round of seeds that would end after this time.
        seeds: At most this many seeds.
    """
    need_report_extra()
    from reslab.experiments.demo import run_demo
    from reslab.system.progress import TrainProgress

    _print_result(run_dir, run_demo(run_dir, minutes=minutes, max_seeds=seeds, observe=TrainProgress))
    return 0


def _print_result(run_dir: Path, demo: "Demo") -> None:
    from reslab.report import compare, write_comparison, write_report

    for folder in demo.folders:
        write_report(folder)
    rows = [
        (
            group.recipe,
            group.spec.label,
            str(len(group.rows)),
            group.spread("train_error"),
            group.spread("reported_error"),
        )
        for group in compare(demo.folders).groups
    ]
    print_table("", ("recipe", "network", "seeds", "training error %", "test error %"), rows, left=2)
    for sentence in demo.sentences:
        print(sentence)
    title = "Plain and residual networks on handwritten digits"
    page = write_comparison(demo.folders, run_dir / "index.html", title=title, verdict=[*demo.sentences, *PAPER])
    print(f"page: {page}")


PAPER = (
    "The paper, on CIFAR-10 (Sec. 4.2, Fig. 6): deeper plain nets have a higher training error (above 60 % at 110 "
    "layers), residual nets gain from depth (test error 8.75 % at 20 layers, 6.97 % at 56).",
)
