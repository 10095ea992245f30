"""The book of results: what every experiment found, on pages made from its evidence alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from reslab.errors import RunError
from reslab.report.figures.style import to_svg
from reslab.report.html import figure_markup, write_page

from .chapters import PLACES, Chapter, read_chapter
from .experiment import AnyExperiment
from .forest import FOREST_CAPTION, draw_forest, has_differences

VERDICTS_NOTE = (
    "Clean training error is that of all training images, not augmented, in eval mode, with the last weights. "
    "Intervals are Welch's t over the training seeds, unless the rule says otherwise; those of test errors hold for "
    "these test images, and other images would add to them. Where all seeds are equal there is no spread to estimate, "
    "and three equal values say little about a fourth: a difference of exactly 0 in every seed counts as 0, and any "
    "other difference that is the same in every seed has no interval. Each verdict stands for itself: intervals and "
    "p-values are not corrected for the number of claims tested, so that of many claims some would come out wrongly by "
    "chance. A verdict marked 'rule after data' rests on results that were known when its rule was written; the others "
    "rest on seeds that no rule had seen, though what networks like these do was known from others. The documentation "
    "of 'reslab reproduce' lists every change of a rule, and what was known."
)


def write_book(results: Path, folder: Path) -> Path:
    """Write an HTML page for each experiment, and a front page.

    Args:
        results: A folder of evidence, as `read_chapters` takes it.
        folder: Where the pages go.

    Returns:
        The path of the front page.

    Raises:
        RunError: Some evidence cannot be shown. The pages of all other evidence are written first.
    """
    chapters: list[Chapter] = []
    failures: list[RunError] = []
    for place in PLACES:
        try:
            chapter = read_chapter(results, *place)
            chapters += [chapter] if chapter else []
        except RunError as failure:
            failures.append(failure)
    index = _write_pages(chapters, folder)
    if failures:
        raise RunError(f"{index} is written, but without what cannot be shown: {failures[0]}")
    return index


@dataclass(frozen=True, slots=True)
class BookPage:
    """What `book.html` shows: the front page, with a row for each verdict.

    Attributes:
        title: The page's title.
        note: What holds for all verdicts.
        paper: The chapters of the paper's claims.
        beyond: Those of claims that were made after it.
        forest: All judged differences as inline SVG; None where there are none.
        caption: What that figure shows.
    """

    title: str
    note: str
    paper: tuple[Chapter, ...]
    beyond: tuple[Chapter, ...]
    forest: Markup | None
    caption: str


@dataclass(frozen=True, slots=True)
class ExperimentPage:
    """What `experiment.html` shows: one experiment, with a chapter for each size."""

    title: str
    experiment: AnyExperiment
    chapters: tuple[Chapter, ...]


def _write_pages(chapters: Sequence[Chapter], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(chapter.experiment.name for chapter in chapters))
    for name in names:
        _write_experiment([chapter for chapter in chapters if chapter.experiment.name == name], folder)
    paper, beyond = (tuple(one for one in chapters if one.experiment.is_beyond is later) for later in (False, True))
    forest = None
    if has_differences(chapters):
        forest = figure_markup(to_svg(draw_forest(chapters), "forest", FOREST_CAPTION))
    page = BookPage("Book of results", VERDICTS_NOTE, paper, beyond, forest, FOREST_CAPTION)
    return write_page("book.html", folder / "index.html", page)


def _write_experiment(chapters: Sequence[Chapter], folder: Path) -> Path:
    experiment = chapters[0].experiment
    page = ExperimentPage(experiment.title, experiment, tuple(chapters))
    return write_page("experiment.html", folder / f"{experiment.name}.html", page)
