"""Make docs/results from results/experiments: `python tools/make_book.py`; with --check, only say what is stale.

Every number, verdict and figure comes from the JSON; the discussion of an experiment is results/experiments/NAME.md.
"""

import sys
from itertools import groupby
from pathlib import Path

from reslab.experiments.book import VERDICTS_NOTE
from reslab.experiments.chapters import Chapter, read_chapters
from reslab.experiments.forest import FOREST_CAPTION, draw_forest
from reslab.experiments.verdict import Verdict
from reslab.report.figures.style import as_dark, styled

ROOT = Path(__file__).parents[1]
_WIDE = "---\nhide: [toc]\n---\n"  # the front table takes the room of the table of contents
_HEAD = "<!-- made by tools/make_book.py from results/experiments; do not edit -->\n"


def front_page(chapters: list[Chapter]) -> str:
    """Return the forest plot and the tables of all verdicts: first the paper's claims, then those beyond it."""
    lines = [
        _WIDE + _HEAD,
        "# Book of results",
        "",
        "Every claim of the paper that was run here. Each verdict is computed from committed JSON by the rule on the "
        "claim's page; `reslab reproduce NAME` runs it again on your machine. [The plan](plan.md) says what was to be "
        "judged before it was run; what the results say together is the [discussion](../discussion.md). Size digits: "
        "the embedded digits, 510 iterations for most networks; size small: CIFAR-10, six epochs for most; size paper: "
        "CIFAR-10, 64,000 iterations; [how to run them](../how-to/experiments.md).",
        "",
        f"![{FOREST_CAPTION}](../images/results/forest.svg#only-light)",
        f"![{FOREST_CAPTION}](../images/results/forest-dark.svg#only-dark)",
        "",
        f"*{FOREST_CAPTION}*",
        "",
    ]
    for title, is_beyond in (("Claims of the paper", False), ("Beyond the paper", True)):
        part = [chapter for chapter in chapters if chapter.experiment.is_beyond is is_beyond]
        lines += [f"## {title}", "", *_verdict_rows(part), ""]
    lines.append(VERDICTS_NOTE)
    return "\n".join(lines) + "\n"


def _verdict_rows(chapters: list[Chapter]) -> list[str]:
    """Return a table with a row for each verdict; what a chapter's rows share stands in the first."""
    lines = ["| claim | verdict | here | paper | size | seeds | date | repeat |", "|---|---|---|---|---|---|---|---|"]
    for chapter in chapters:
        experiment, paper = chapter.experiment, chapter.paper
        for verdict in chapter.verdicts:
            part = f": {verdict.part}" if verdict.part else ""
            after = ", *rule after data*" if chapter.is_after_data else ""
            lines.append(
                f"| [{experiment.title}]({experiment.name}.md){part} | **{verdict.label}**{after} | {verdict.headline} "
                f"| {paper} | {chapter.evidence.size} | {chapter.evidence.num_seeds or '-'} | {chapter.date} "
                f"| `{chapter.command}` |"
            )
            paper = ""
    return lines


def experiment_page(chapters: list[Chapter], discussion: str) -> str:
    """Return the page of one experiment at all its sizes."""
    experiment = chapters[0].experiment
    parts = [_HEAD, f"# {experiment.title}\n", f"{experiment.claim} *({experiment.source})*\n"]
    for chapter in chapters:
        parts.append(f"## {chapter.heading}\n")
        parts += [verdict_paragraph(verdict) for verdict in chapter.verdicts]
        if chapter.is_after_data:
            parts.append("*Rule after data: these results were known when the rule was written.*\n")
        image = f"../images/results/{experiment.name}-{chapter.evidence.size}.svg"
        parts.append(f"![{experiment.caption}]({image})\n\n*{experiment.caption}*\n")
        parts.append(_table(chapter))
        seeds = f". Seeds: {chapter.evidence.num_seeds}" if chapter.evidence.num_seeds else ""
        notes = " ".join(note for note in (chapter.table_note, chapter.power, chapter.provenance) if note)
        parts.append(f"{chapter.settings}{seeds}. {notes} Repeat with `{chapter.command}`.\n")
    if discussion:
        parts.append(f"## Discussion\n\n{discussion.strip()}\n")
    parts.append(f"## The rule of the verdict\n\n{experiment.rule}\n")
    rows = "\n".join(f"| {what} | {value} |" for what, value in experiment.paper)
    parts.append(f"## The paper\n\n| what | value |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def verdict_paragraph(verdict: Verdict) -> str:
    """Return the verdict on one part of a claim, with its numbers."""
    label = f"{verdict.part}: {verdict.label}" if verdict.part else verdict.label
    return f"**{label[0].upper()}{label[1:]}.** {verdict.sentence}\n"


def _table(chapter: Chapter) -> str:
    table = chapter.table
    marks = ["---" if number < table.num_words else "---:" for number in range(len(table.columns))]
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "|".join(marks) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"


def pages(root: Path) -> dict[Path, str]:
    """Return every page of the book: its path and its content."""
    chapters = read_chapters(root / "results" / "experiments")
    texts = {root / "docs" / "results" / "index.md": front_page(chapters)}
    for name, group in groupby(chapters, key=lambda chapter: chapter.experiment.name):
        discussion = root / "results" / "experiments" / f"{name}.md"
        text = discussion.read_text(encoding="utf-8") if discussion.exists() else ""
        texts[root / "docs" / "results" / f"{name}.md"] = experiment_page(list(group), text)
    return texts


def draw(root: Path) -> None:
    """Draw every figure of the book."""
    folder = root / "docs" / "images" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    chapters = read_chapters(root / "results" / "experiments")
    figures = {f"{one.experiment.name}-{one.evidence.size}": one.experiment.draw(one.evidence) for one in chapters}
    figures["forest"] = draw_forest(chapters)
    for name, figure in figures.items():
        with styled():
            figure.savefig(folder / f"{name}.svg", facecolor="white", metadata={"Date": None, "Creator": None})
    light = (folder / "forest.svg").read_text(encoding="utf-8")
    (folder / "forest-dark.svg").write_text(as_dark(light), encoding="utf-8")


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write or check every page; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale = [
        (path, text)
        for path, text in pages(root).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if arguments:
            print(f"{path.relative_to(root)}: is not what the evidence says; run: make results")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if not arguments:
        draw(root)
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
