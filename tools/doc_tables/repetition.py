"""The table that compares the book's digits with the same experiments, repeated with other rounding."""

from pathlib import Path

from reslab.experiments.book import Chapter, read_chapters


def read_repetition(results: Path) -> list[tuple[Chapter, Chapter]]:
    """Return what is in results/repetition, each chapter after the book's of the same experiment and size."""
    book = {(one.experiment.name, one.evidence.size): one for one in read_chapters(results / "experiments")}
    again = read_chapters(results / "repetition")
    return [(book[one.experiment.name, one.evidence.size], one) for one in again]


def repetition_table(pairs: list[tuple[Chapter, Chapter]]) -> str:
    """Return a row for each experiment: what the book found, and what the repetition did."""
    lines = ["| experiment | the book | again |", "|---|---|---|"]
    for book, again in pairs:
        name = book.experiment.name
        cells = [f"**{one.verdict.outcome}**: {one.verdict.headline}" for one in (book, again)]
        lines.append(f"| [`{name}`](results/{name}.md) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
