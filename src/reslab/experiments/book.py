"""The book of results: what every experiment found, on pages made from its evidence alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from markupsafe import Markup

from reslab.errors import RunError
from reslab.report.figures.style import to_svg
from reslab.report.html import figure_markup, write_page

from .arms import FIRST_SEED, SIZES, Size
from .catalog import EXPERIMENTS
from .evidence import AnyEvidence
from .experiment import AnyExperiment, ResultTable
from .record_store import RecordStore, evidence_path
from .verdict import Verdict, outcomes_in_words
from .wording import date_of, provenance_in_words, settings_in_words

VERDICTS_NOTE = (
    "Clean training error is that of all training images, not augmented, in eval mode, with the last weights. "
    "Intervals are Welch's t over the training seeds, unless the rule says otherwise; those of test errors hold for "
    "these test images, and other images would add to them. Where all seeds are equal there is no spread to estimate, "
    "and three equal values say little about a fourth: a difference of exactly 0 in every seed counts as 0, and any "
    "other difference that is the same in every seed has no interval. Each verdict stands for itself: intervals and "
    "p-values are not corrected for the number of claims tested, so that of many claims some would come out wrongly by "
    "chance. For the digits the rules are not blind: what the networks do there was known when the rules were written, "
    "and the rule of batch norm was replaced after its first form would not have called the claim reproduced. Some "
    "rules were changed after results on CIFAR-10 were known, too; the documentation of 'reslab reproduce' lists what "
    "was known when."
)
_PLACES = list(product(EXPERIMENTS.values(), SIZES))  # in the order of the book


@dataclass(frozen=True)
class Chapter:
    """One experiment at one size: its evidence, and what follows from it.

    Verdict and table are computed once: a page asks for the table in every cell.
    """

    experiment: AnyExperiment
    evidence: AnyEvidence

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each part of the claim."""
        return tuple(self.experiment.judge(self.evidence))

    @property
    def heading(self) -> str:
        """Return "Size small: reproduced"; what is only computed is the same at every size."""
        where = f"Size {self.evidence.size}" if self.evidence.records else "Computed"
        return f"{where}: {self.outcome}"

    @property
    def outcome(self) -> str:
        """The outcomes in words, for all parts of the claim."""
        return outcomes_in_words(self.verdicts)

    @property
    def sentences(self) -> str:
        """The numbers that the outcomes follow from."""
        return " ".join(verdict.sentence for verdict in self.verdicts)

    @property
    def is_after_data(self) -> bool:
        """Whether the evidence was known when the rule was written."""
        size = self.evidence.size
        is_early = bool(self.evidence.records) and self.evidence.document.first_seed < FIRST_SEED[size]
        orders = {self.evidence.config(arm).data.order for arm in self.evidence.records}
        return size in self.experiment.rule_after_data or is_early or "archive" in orders

    @property
    def power(self) -> str:
        """The half-widths of what was judged, in a sentence; "" where nothing has one."""
        parts = [verdict.power for verdict in self.verdicts if verdict.power]
        if not parts:
            return ""
        return f"Smallest effects that could be seen (half-widths of the intervals): {'; '.join(parts)}."

    @property
    def paper(self) -> str:
        """The paper's numbers in one line."""
        return "; ".join(f"{what}: {value}" for what, value in self.experiment.paper)

    @cached_property
    def table(self) -> ResultTable:
        return self.experiment.table(self.evidence)

    @property
    def settings(self) -> str:
        if not self.evidence.records:
            return "Nothing is trained"
        return settings_in_words(self.evidence)

    @property
    def command(self) -> str:
        """What repeats it."""
        count = self.evidence.num_seeds
        seeds = "" if count in (0, self.experiment.seeds(self.evidence.size)) else f" --seeds {count}"
        return f"reslab reproduce {self.experiment.name} --size {self.evidence.size}{seeds}"

    @property
    def date(self) -> str:
        return date_of(self.evidence)

    @property
    def provenance(self) -> str:
        """On what it was trained and measured, in sentences."""
        return provenance_in_words(self.evidence)

    @property
    def table_note(self) -> str:
        """What the numbers of the table mean; empty where they say it themselves."""
        notes = []
        if any("clean" in column for column in self.table.columns):
            notes.append("Clean: of all training images, not augmented, in eval mode, with the last weights.")
        if any("±" in cell for row in self.table.rows for cell in row):
            notes.append("±: standard deviation over the seeds.")
        return " ".join(notes)

    def figure(self) -> Markup:
        """Return the figure as inline SVG to be put on a page; its label states the verdict."""
        name = f"{self.experiment.name}-{self.evidence.size}"
        label = f"{self.experiment.caption} Verdict: {self.outcome}. {self.sentences}"
        return figure_markup(to_svg(self.experiment.draw(self.evidence), name, label))


def read_chapters(results: Path) -> list[Chapter]:
    """Return a chapter for every evidence file, in the order of the paper's argument, sizes ascending.

    Args:
        results: A folder of evidence and records. Its subfolders may hold more: runs that were computed in another way
            and must not be mixed with the others.

    Raises:
        RunError: Evidence is damaged or of another version's experiments, or two folders hold the same experiment at
            the same size.
    """
    return [chapter for place in _PLACES if (chapter := _read_chapter(results, *place)) is not None]


def _read_chapter(results: Path, experiment: AnyExperiment, size: Size) -> Chapter | None:
    """Return what there is of an experiment at a size, None for nothing."""
    path = _only_path(results, experiment.name, size)
    return None if path is None else Chapter(experiment, RecordStore.open(path.parent, experiment, size).load())


def _only_path(results: Path, name: str, size: str) -> Path | None:
    """Where the evidence of an experiment at a size lies; None if there is none."""
    file = evidence_path(results, name, size).name
    paths = [*results.glob(file), *sorted(results.glob(f"*/{file}"))]
    if len(paths) > 1:
        raise RunError(
            f"{paths[0]} and {paths[1]} are of the same experiment at the same size, but a book shows one. Move the "
            "other one out of the folder."
        )
    return paths[0] if paths else None


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
    for place in _PLACES:
        try:
            chapter = _read_chapter(results, *place)
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
    """

    title: str
    note: str
    paper: tuple[Chapter, ...]
    beyond: tuple[Chapter, ...]


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
    page = BookPage("Book of results", VERDICTS_NOTE, paper, beyond)
    return write_page("book.html", folder / "index.html", page)


def _write_experiment(chapters: Sequence[Chapter], folder: Path) -> Path:
    experiment = chapters[0].experiment
    page = ExperimentPage(experiment.title, experiment, tuple(chapters))
    return write_page("experiment.html", folder / f"{experiment.name}.html", page)
