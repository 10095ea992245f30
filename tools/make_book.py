"""Make docs/results from results/experiments: `python tools/make_book.py`; with --check, only say what is stale.

Every number, verdict and figure comes from the JSON; the discussion of an experiment is results/experiments/NAME.md.
"""

import sys
from itertools import groupby
from pathlib import Path

from reslab.experiments.book import VERDICTS_NOTE, Chapter, read_chapters
from reslab.report.figures.style import styled

ROOT = Path(__file__).parents[1]
_WIDE = "---\nhide: [toc]\n---\n"  # the front table takes the room of the table of contents
_HEAD = "<!-- made by tools/make_book.py from results/experiments; do not edit -->\n"


def front_page(chapters: list[Chapter]) -> str:
    """Return the table of all verdicts."""
    lines = [
        _WIDE + _HEAD,
        "# Book of results",
        "",
        "Every claim of the paper that was run here. Each verdict is computed from committed JSON by the rule on the "
        "claim's page; `reslab reproduce NAME` runs it again on your machine. What they say together is the "
        "[discussion](../discussion.md). Size digits: the embedded digits, 510 iterations for most networks; size "
        "small: CIFAR-10, six epochs for most; [how to run them](../how-to/experiments.md).",
        "",
        "| claim | paper | here | verdict | size | seeds | date | repeat |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for chapter in chapters:
        experiment, verdict = chapter.experiment, chapter.verdict
        lines.append(
            f"| [{experiment.title}]({experiment.name}.md) | {chapter.paper} | {verdict.headline} "
            f"| **{verdict.outcome}** | {chapter.evidence.size} | {chapter.evidence.num_seeds or '-'} | {chapter.date} "
            f"| `{chapter.command}` |"
        )
    lines += ["", VERDICTS_NOTE]
    return "\n".join(lines) + "\n"


def experiment_page(chapters: list[Chapter], discussion: str) -> str:
    """Return the page of one experiment at all its sizes."""
    experiment = chapters[0].experiment
    parts = [_HEAD, f"# {experiment.title}\n", f"{experiment.claim} *({experiment.source})*\n"]
    for chapter in chapters:
        parts.append(f"## {chapter.heading}\n\n{chapter.verdict.sentence}\n")
        image = f"../images/results/{experiment.name}-{chapter.evidence.size}.svg"
        parts.append(f"![{experiment.caption}]({image})\n\n*{experiment.caption}*\n")
        parts.append(_table(chapter))
        seeds = f". Seeds: {chapter.evidence.num_seeds}" if chapter.evidence.num_seeds else ""
        note = f"{chapter.table_note} " if chapter.table_note else ""
        parts.append(f"{chapter.settings}{seeds}. {note}{chapter.provenance} Repeat with `{chapter.command}`.\n")
    if discussion:
        parts.append(f"## Discussion\n\n{discussion.strip()}\n")
    parts.append(f"## The rule of the verdict\n\n{experiment.rule}\n")
    rows = "\n".join(f"| {what} | {value} |" for what, value in experiment.paper)
    parts.append(f"## The paper\n\n| what | value |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


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
    for chapter in read_chapters(root / "results" / "experiments"):
        path = folder / f"{chapter.experiment.name}-{chapter.evidence.size}.svg"
        figure = chapter.experiment.draw(chapter.evidence)
        with styled():
            figure.savefig(path, facecolor="white", metadata={"Date": None, "Creator": None})


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
