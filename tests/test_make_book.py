"""The book of results is what the committed evidence says."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from reslab.experiments.book import Chapter, read_chapters

ROOT = Path(__file__).parents[1]
CHAPTERS = read_chapters(ROOT / "results" / "experiments")


@pytest.fixture(scope="module")
def make_book() -> Any:
    spec = importlib.util.spec_from_file_location("make_book", ROOT / "tools" / "make_book.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda one: f"{one.experiment.name}-{one.evidence.size}")
def test_every_verdict_in_the_book_is_recomputed_from_the_records(chapter: Chapter) -> None:
    page = (ROOT / "docs" / "results" / f"{chapter.experiment.name}.md").read_text(encoding="utf-8")
    assert f"## {chapter.heading}\n\n{chapter.verdict.sentence}\n" in page
    assert chapter.heading.endswith(f": {chapter.verdict.outcome}")


def test_every_page_of_the_book_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [one.experiment.name for one in CHAPTERS if f"results/{one.experiment.name}.md" not in menu] == []


def test_a_page_that_is_not_what_the_evidence_says_is_stale(
    make_book: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results" / "experiments"
    results.mkdir(parents=True)
    for name in ("records", "shortcuts-digits.json", "shortcuts-small.json", "shortcuts.md"):
        (results / name).symlink_to(ROOT / "results" / "experiments" / name)
    assert make_book.main(["--check"], tmp_path) == 1
    assert "run: make results" in capsys.readouterr().out
    for path, text in make_book.pages(tmp_path).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert make_book.main(["--check"], tmp_path) == 0


def test_every_figure_of_the_book_is_there() -> None:
    names = [f"{one.experiment.name}-{one.evidence.size}.svg" for one in CHAPTERS]
    assert all((ROOT / "docs" / "images" / "results" / name).is_file() for name in names)
