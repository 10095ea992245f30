"""The book of results is what the committed evidence says."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from reslab.errors import RunError
from reslab.experiments.chapters import Chapter, read_chapters

ROOT = Path(__file__).parents[2]
CHAPTERS = read_chapters(ROOT / "results" / "experiments")


def _link(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).symlink_to(ROOT / "results" / "experiments" / name)


@pytest.fixture(scope="module")
def make_book() -> Any:
    spec = importlib.util.spec_from_file_location("make_book", ROOT / "tools" / "make_book.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda one: f"{one.experiment.name}-{one.evidence.size}")
def test_every_verdict_in_the_book_is_recomputed_from_the_records(chapter: Chapter, make_book: Any) -> None:
    page = (ROOT / "docs" / "results" / f"{chapter.experiment.name}.md").read_text(encoding="utf-8")
    assert f"## {chapter.heading}\n" in page
    for verdict in chapter.verdicts:
        assert make_book.verdict_paragraph(verdict) in page
        assert verdict.label in chapter.heading


def test_every_page_of_the_book_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [one.experiment.name for one in CHAPTERS if f"results/{one.experiment.name}.md" not in menu] == []


def test_a_page_that_is_not_what_the_evidence_says_is_stale(
    make_book: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results" / "experiments"
    _link(results, "records", "degradation-digits.json", "degradation-small.json", "degradation.md")
    assert make_book.main(["--check"], tmp_path) == 1
    assert "run: make results" in capsys.readouterr().out
    for path, text in make_book.pages(tmp_path).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert make_book.main(["--check"], tmp_path) == 0


def test_what_was_computed_in_another_way_is_a_chapter_from_a_folder_of_its_own(tmp_path: Path) -> None:
    _link(tmp_path, "records", "shortcuts-digits.json")
    _link(tmp_path / "elsewhere", "records", "shortcuts-small.json", "complexity-digits.json")
    chapters = [(one.experiment.name, one.evidence.size) for one in read_chapters(tmp_path)]
    assert chapters == [("shortcuts", "digits"), ("shortcuts", "small"), ("complexity", "digits")]


def test_a_book_refuses_an_experiment_that_two_folders_hold_at_the_same_size(tmp_path: Path) -> None:
    _link(tmp_path, "records", "shortcuts-digits.json")
    _link(tmp_path / "elsewhere", "records", "shortcuts-digits.json")
    with pytest.raises(RunError, match=r"elsewhere/shortcuts-digits\.json are of the same experiment at the same size"):
        read_chapters(tmp_path)


def test_every_figure_of_the_book_is_there() -> None:
    names = [f"{one.experiment.name}-{one.evidence.size}.svg" for one in CHAPTERS]
    assert all((ROOT / "docs" / "images" / "results" / name).is_file() for name in names)
