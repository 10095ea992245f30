"""The page of `reslab data check`: what is wrong, in words and pictures, whatever files are called."""

import os
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.cli.main import run


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.images += [dict(attrs)] if tag == "img" else []
        self.scripts += tag == "script"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of six images; the caller breaks some."""
    draws = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(6):
                Image.fromarray(draws.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def _check(photos: Path, page: Path) -> str:
    assert run(["data", "check", str(photos), "--html", str(page)]) == 1
    return page.read_text()


def test_leaked_images_are_shown_and_broken_ones_are_named(photos: Path, tmp_path: Path) -> None:
    (photos / "val" / "ant" / "copy.png").write_bytes((photos / "train" / "ant" / "0.png").read_bytes())
    (photos / "train" / "bee" / "empty.png").write_bytes(b"")
    text = _check(photos, tmp_path / "page.html")
    page = _Page(text)
    assert [image["alt"] for image in page.images] == ["train/ant/0.png", "val/ant/copy.png"]
    assert all(str(image["src"]).startswith("data:image/") for image in page.images)
    assert "zero-byte (1)" in text
    assert "empty.png: " in text
    assert page.scripts == 1


def test_hostile_names_are_text(photos: Path, tmp_path: Path) -> None:
    (photos / "train" / "ant" / "<script>alert(1)<.png").write_bytes(b"")
    with Path(os.fsdecode(os.fsencode(photos / "train" / "bee") + b"/\xff.png")).open("wb"):
        pass
    text = _check(photos, tmp_path / "page.html")
    assert _Page(text).scripts == 1
    assert "&lt;script&gt;alert(1)&lt;.png" in text
    assert "\\xff.png" in text


def test_many_findings_make_a_page_of_bounded_size(photos: Path, tmp_path: Path) -> None:
    content = (photos / "train" / "ant" / "0.png").read_bytes()
    for number in range(40):
        (photos / "train" / "ant" / f"again{number}.png").write_bytes(content)
    assert len(_Page(_check(photos, tmp_path / "page.html")).images) <= 12 * 2


def test_a_page_is_not_written_into_a_folder_that_is_not_there(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "check", str(photos), "--html", str(tmp_path / "no" / "page.html")]) == 2
    assert "make it first" in capsys.readouterr().err
