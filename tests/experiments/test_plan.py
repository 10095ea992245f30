"""The plan and the experiments agree on sizes and seeds."""

import re
from pathlib import Path

import pytest

from reslab.experiments.arms import SIZES, Size
from reslab.experiments.catalog import EXPERIMENTS

PLAN = (Path(__file__).parents[2] / "docs" / "results" / "plan.md").read_text(encoding="utf-8")
# the sizes by which the plan's rows that are of one size alone name it
ALSO_CALLED: dict[str, Size] = {"computed": "digits", "Imagenette": "small"}


def _rows() -> list[tuple[str, str, str]]:
    """Experiment, sizes and seeds of every row of the paper's claims."""
    table = PLAN.split("## Claims of the paper")[1].split("\n\n")[1]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]
    return [(re.findall(r"`([\w-]+)`", row[0])[0], row[1], row[4]) for row in cells]


@pytest.mark.parametrize(("name", "sizes", "seeds"), _rows())
def test_an_experiment_has_the_seeds_that_were_planned(name: str, sizes: str, seeds: str) -> None:
    if name == "convergence" and sizes == "digits":
        name = "convergence-rate"  # see the plan's list of changes
    words: dict[str, Size] = {size: size for size in SIZES}
    words.update(ALSO_CALLED)
    planned: list[Size] = [size for word, size in words.items() if word in sizes]
    numbers = [int(number) for number in re.findall(r"\d+", seeds)]
    if not numbers:
        assert EXPERIMENTS[name].arms(planned[0]) == ()
        return
    counts = numbers * len(planned) if len(numbers) == 1 else numbers
    assert [EXPERIMENTS[name].seeds(size) for size in planned] == counts


def test_every_experiment_is_in_the_plan() -> None:
    missing = [name for name in EXPERIMENTS if f"`{name}`" not in PLAN]
    assert missing == []
