"""What a page holds: its text, the documents and settings in it, its figures, its pictures."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import Any

from tests.reference.renamed import UNCOMPARED_COLUMNS

_SETTING = re.compile(r"recipe|seed|weights|[a-z_0-9]+(\.[a-z_0-9]+)+")
_READ_ATTRIBUTES = ("alt", "aria-label", "title")


@dataclass
class Page:
    """A page taken apart.

    Attributes:
        text: Visible text and labels, without the columns that are not compared.
        documents: JSON objects in preformatted text.
        settings: The table of settings, by key.
        figures: Each drawing, as SVG.
        pictures: The SHA-256 of each embedded picture.
    """

    text: str = ""
    documents: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    figures: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)


def read_page(html: str) -> Page:
    """Take a page apart."""
    page = Page(figures=re.findall(r"<svg\b.*?</svg>", html, flags=re.DOTALL))
    reader = _Reader(page)
    reader.feed(re.sub(r"<svg\b([^>]*)>.*?</svg>", r"<figure-here\1></figure-here>", html, flags=re.DOTALL))
    reader.close()
    page.text = re.sub(r"[ \t\xa0]+", " ", "".join(reader.parts))
    return page


class _Reader(HTMLParser):
    """Collects text outside of scripts and styles; a table's rows as a whole, because their columns decide."""

    def __init__(self, page: Page) -> None:
        super().__init__(convert_charrefs=True)
        self.page = page
        self.parts: list[str] = []
        self._hidden = 0
        self._pre: list[str] | None = None
        self._header: list[str] = []
        self._row: list[str] | None = None
        self._is_header = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "style"):
            self._hidden += 1
        elif tag == "pre":
            self._pre = []
        elif tag == "table":
            self._header = []
        elif tag == "tr":
            self._row, self._is_header = [], False
        elif tag in ("td", "th") and self._row is not None:
            self._is_header = self._is_header or tag == "th"
            self._row.append("")
        elif tag in ("p", "h1", "h2", "h3", "li", "div", "figcaption", "br", "dt", "dd"):
            self._add("\n")
        for name in _READ_ATTRIBUTES:
            if values.get(name):
                self._add(f" {values[name]} ")
        for name, value in attrs:
            if name.startswith("data-") and value:
                self._add(f" {value} ")
        if (source := values.get("src") or "").startswith("data:"):
            self.page.pictures.append(hashlib.sha256(source.encode()).hexdigest())

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._hidden -= 1
        elif tag == "pre" and self._pre is not None:
            text, self._pre = "".join(self._pre), None
            self._end_pre(text)
        elif tag == "tr" and self._row is not None:
            row, self._row = self._row, None
            self._end_row(row)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._add(data)

    def _add(self, text: str) -> None:
        if self._pre is not None:
            self._pre.append(text)
        elif self._row:
            self._row[-1] += text
        else:
            self.parts.append(text)

    def _end_pre(self, text: str) -> None:
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if isinstance(document, dict):
            self.page.documents.append(document)
        else:
            self._add(f"\n{text}\n")

    def _end_row(self, cells: list[str]) -> None:
        names = [cell.strip() for cell in cells]
        if not self._header and self._is_header:
            self._header = names
        elif not self._header and len(cells) == 2 and _SETTING.fullmatch(names[0]):
            self.page.settings[names[0]] = names[1]
            return
        kept = [cell for number, cell in enumerate(cells) if not self._is_uncompared(number)]
        self.parts.append("\n" + " | ".join(kept) + "\n")

    def _is_uncompared(self, column: int) -> bool:
        return column < len(self._header) and self._header[column] in UNCOMPARED_COLUMNS


# --- figures ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """A drawing taken apart.

    Attributes:
        texts: What is written on it.
        numbers: All coordinates, in order.
        curves: Of each curve, its ends and its bounds in parts of its axes: x0, y0, x1, y1, left, top, right, bottom.
    """

    texts: tuple[str, ...]
    numbers: tuple[str, ...]
    curves: tuple[tuple[float, ...], ...]


def read_figure(svg: str) -> Figure:
    """Take a drawing by matplotlib apart: texts are outlines, and stand in comments beside them."""
    texts = tuple(unescape(text).strip() for text in re.findall(r"<!--(.*?)-->", svg, flags=re.DOTALL))
    # names of clips and markers are hashes
    geometry = re.sub(r'(id="[^"]*"|href="[^"]*"|url\([^)]*\)|aria-label="[^"]*"|#[0-9a-fA-F]{6})', "", svg)
    return Figure(texts, tuple(re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", geometry)), tuple(_curves(svg)))


def _curves(svg: str) -> list[tuple[float, ...]]:
    clips = {
        name: tuple(map(float, numbers))
        for name, *numbers in re.findall(
            r'<clipPath id="([^"]*)">\s*<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg
        )
    }
    found = []
    for path, clip in re.findall(r'<path d="([^"]*)"\s+clip-path="url\(#([^)]*)\)"', svg):
        x, y, width, height = clips[clip]
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
        across = [(number - x) / width for number in numbers[::2]]
        down = [(number - y) / height for number in numbers[1::2]]
        ends = (across[0], down[0], across[-1], down[-1])
        found.append((*ends, min(across), min(down), max(across), max(down)))
    return found
