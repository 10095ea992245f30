"""Pages in a real browser, without any network: sort, filter, enlarge, fit screen and paper, ask for nothing."""

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reslab import create_model
from reslab.artifacts.model_file import ModelCard
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.main import run
from reslab.data import ArrayDataset
from reslab.data.sources.image_list import write_list
from reslab.report import judge, write_model_report, write_report
from reslab.spec import PreprocessSpec
from reslab.system.progress import counting

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium")

# for a browser that says nothing to anybody
_QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip


def _dataset(num_classes: int, count: int, seed: int) -> ArrayDataset:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)
    names = tuple(f"kind number {number} of many" for number in range(num_classes))
    return ArrayDataset("noise", images, torch.arange(count) % num_classes, names)


def _page(path: Path, num_classes: int) -> Path:
    seen = _dataset(num_classes, 4 * num_classes, 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create_model("cifar_resnet8", num_classes=num_classes).eval()
    spec = PreprocessSpec(channels=3, height=16, width=16, mean=(127.0,) * 3, std=(60.0,) * 3)
    card = ModelCard(preprocess=spec, class_names=seen.class_names, recipe="cifar-resnet20")
    found = judge(model, card, seen, split="test", train=_dataset(num_classes, 60, 1), watch=counting)
    return write_model_report(found, path, name="m.safetensors", recipe="r", metrics=None, command="reslab report m")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 10 classes."""
    return _page(tmp_path_factory.mktemp("page") / "small.html", 10)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 300 classes, more than the matrix has cells in a row."""
    return _page(tmp_path_factory.mktemp("page") / "large.html", 300)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `reslab data check` about a folder with copies, an empty file and a long name."""
    root = tmp_path_factory.mktemp("data")
    draws = np.random.default_rng(0)
    for split, name in product(("train", "val"), ("ant", "bee")):
        (root / "photos" / split / name).mkdir(parents=True)
        for number in range(6):
            pixels = draws.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "photos" / split / name / f"{number}.png")
    copied = (root / "photos" / "train" / "ant" / "0.png").read_bytes()
    (root / "photos" / "val" / "ant" / f"{'long' * 40}.png").write_bytes(copied)
    (root / "photos" / "train" / "bee" / "empty.png").write_bytes(b"")
    assert run(["data", "check", str(root / "photos"), "--html", str(root / "data.html")]) == 1
    return root / "data.html"


@pytest.fixture(scope="module")
def run_page(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run that left 40 images out, of which a table and a list tell."""
    folder = RunFolder(tmp_path_factory.mktemp("run") / "run")
    shutil.copytree(digits_run, folder.path)
    rows = [(f"train/{'ant' * 30}/{number}.jpg", "train", "has no bytes") for number in range(40)]
    folder.skipped_path.write_bytes(write_list(rows, ("path", "split", "reason")))
    return write_report(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as library:
        launched = library.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        yield launched
        launched.close()


class _Opened:
    """One page, and everything it asked for or complained of."""

    def __init__(self, browser: Any, path: Path, **settings: Any) -> None:
        self.context = browser.new_context(offline=True, reduced_motion="reduce", **settings)
        self.requests: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self.complaints: list[str] = []
        self.page = self.context.new_page()
        self.page.route("http*://**", lambda route: route.abort())
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.failures.append((request.url, request.failure)))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())

    def asked(self) -> list[str]:
        """What it asked for beside itself and the pictures inside it."""
        return [url for url in self.requests if not url.startswith(("file:", "data:"))]

    def open_everything(self) -> None:
        self.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")

    def is_too_wide(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


@pytest.fixture
def opened(browser: Any, small: Path) -> Iterator[_Opened]:
    found = _Opened(browser, small, viewport={"width": 1000, "height": 800})
    yield found
    assert found.complaints == []
    assert found.asked() == []
    assert len([url for url in found.requests if url.startswith("file:")]) == 1
    found.context.close()


def _column(page: Any, number: int) -> list[str]:
    return page.locator(f"#classes tbody tr:visible td:nth-child({number})").all_inner_texts()


def test_the_table_of_classes_sorts_by_mouse_and_by_keyboard(opened: _Opened) -> None:
    page = opened.page
    recall = page.locator("#classes th").nth(2)
    assert recall.get_attribute("aria-sort") == "none"
    recall.get_by_role("button").click()
    assert recall.get_attribute("aria-sort") == "ascending"
    assert _column(page, 3) == sorted(_column(page, 3), key=float)
    page.keyboard.press("Enter")
    assert recall.get_attribute("aria-sort") == "descending"
    assert _column(page, 3) == sorted(_column(page, 3), key=float, reverse=True)
    page.locator("#classes th").first.get_by_role("button").press(" ")
    assert recall.get_attribute("aria-sort") == "none"
    assert _column(page, 1) == [f"kind number {number} of many" for number in range(10)]


def test_the_table_of_classes_filters(opened: _Opened) -> None:
    page = opened.page
    page.get_by_label("Filter classes").fill("NUMBER 7")
    assert _column(page, 1) == ["kind number 7 of many"]
    assert page.get_by_text("1 of 10 rows").is_visible()
    page.get_by_label("Filter classes").fill("")
    assert len(_column(page, 1)) == 10


def test_an_image_is_opened_and_closed_by_keyboard_and_the_focus_comes_back(opened: _Opened) -> None:
    page, dialog = opened.page, opened.page.locator("dialog")
    first = page.locator("button.open").first
    first.focus()
    page.keyboard.press("Enter")
    assert dialog.is_visible()
    assert dialog.locator("img").count() == 2  # the image and its heat map
    words = dialog.locator(".words").inner_text()
    page.keyboard.press("ArrowRight")
    assert dialog.locator(".words").inner_text() != words
    page.keyboard.press("ArrowLeft")
    assert dialog.locator(".words").inner_text() == words
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert first.evaluate("button => button === document.activeElement")


def test_heat_maps_are_shown_on_request(opened: _Opened) -> None:
    page = opened.page
    heat, plain = page.locator(".gallery .heat").first, page.locator(".gallery .plain").first
    assert (heat.is_visible(), plain.is_visible()) == (False, True)
    button = page.get_by_role("button", name="Heat maps").first
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert (heat.is_visible(), plain.is_visible()) == (True, False)


def test_the_matrix_of_many_classes_is_read_by_mouse_and_by_keyboard(browser: Any, large: Path) -> None:
    found = _Opened(browser, large, viewport={"width": 800, "height": 900})
    matrix, said = found.page.locator(".matrix"), found.page.locator(".readout")
    matrix.focus()
    assert "kind number 0 of many taken for kind number 0 of many" in said.inner_text()
    for _ in range(2):
        found.page.keyboard.press("ArrowRight")
    found.page.keyboard.press("ArrowDown")
    assert "taken for kind number 4 of many: " in said.inner_text()
    before = said.inner_text()
    box = matrix.bounding_box()
    matrix.hover(position={"x": box["width"] - 3, "y": box["height"] - 3})
    assert said.inner_text() != before
    assert (found.complaints, found.asked()) == ([], [])
    found.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_wider_than_the_screen(
    width: int, scheme: str, browser: Any, small: Path, large: Path, data: Path
) -> None:
    for path in (small, large, data):
        found = _Opened(browser, path, viewport={"width": width, "height": 800}, color_scheme=scheme)
        assert not found.is_too_wide()
        found.open_everything()
        assert not found.is_too_wide()
        found.page.locator("button.open").last.click()
        box = found.page.locator("dialog").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert found.complaints == []
        found.context.close()


@pytest.mark.parametrize("width", [360, 1440])
def test_a_runs_page_fits_too(width: int, browser: Any, run_page: Path) -> None:
    found = _Opened(browser, run_page, viewport={"width": width, "height": 800})
    found.open_everything()
    assert not found.is_too_wide()
    assert (found.complaints, found.asked()) == ([], [])
    found.context.close()


def test_the_page_of_a_data_check_asks_for_nothing_and_its_images_open(browser: Any, data: Path) -> None:
    found = _Opened(browser, data, viewport={"width": 1000, "height": 800})
    page, dialog = found.page, found.page.locator("dialog")
    pictures = page.locator("button.open")
    assert pictures.count() == 2
    pictures.first.press("Enter")
    assert dialog.locator("img").evaluate("picture => picture.complete && picture.naturalWidth > 0")
    assert dialog.locator(".words").inner_text() == "train/ant/0.png"
    page.keyboard.press("ArrowRight")
    assert dialog.locator(".words").inner_text().endswith("long.png")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.get_by_label("Filter classes").fill("bee")
    assert _column(page, 1) == ["bee"]
    assert (found.complaints, found.asked()) == ([], [])
    found.context.close()


# what a paper of A4 with the page's margins has room for
_PAPER = {"width": 703, "height": 1000}
_CUT = """() => [...document.querySelectorAll("main *")].filter((one) => one.getClientRects().length
  && getComputedStyle(one).overflow !== "visible" && getComputedStyle(one).display !== "inline"
  && !["svg", "IMG"].includes(one.tagName) && !one.closest("svg")
  && (one.scrollHeight > one.clientHeight + 1 || one.scrollWidth > one.clientWidth + 1)).map((one) => one.outerHTML)"""


def test_on_paper_nothing_is_cut_and_there_is_nothing_to_press(
    browser: Any, small: Path, large: Path, data: Path, run_page: Path
) -> None:
    for path in (small, large, data, run_page):
        found = _Opened(browser, path, viewport=_PAPER, color_scheme="dark")
        page = found.page
        on_screen = page.evaluate(_CUT)
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate(_CUT) == []
        assert not found.is_too_wide()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert (
            page.locator(".tools:visible, dialog:visible, .readout:visible, details:not([open]):visible").count() == 0
        )
        if path == large:
            assert on_screen  # 300 classes scroll there
        found.open_everything()
        assert page.locator("details:visible").count() == page.locator("details").count()  # printed, and whole
        assert page.evaluate(_CUT) == []
        assert not found.is_too_wide()
        found.context.close()


def test_on_paper_no_picture_or_figure_is_split_between_pages(browser: Any, small: Path) -> None:
    found = _Opened(browser, small, viewport=_PAPER)
    found.page.emulate_media(media="print")
    breaks = found.page.evaluate(
        "[...document.querySelectorAll('figure, tr')].map((one) => getComputedStyle(one).breakInside)"
    )
    assert set(breaks) == {"avoid"}
    assert found.page.locator("thead").first.evaluate("one => getComputedStyle(one).position") != "sticky"
    found.context.close()


def test_dark_and_light_differ_and_text_can_be_read_in_both(browser: Any, small: Path) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        found = _Opened(browser, small, color_scheme=scheme)
        colors = found.page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor,"
            " getComputedStyle(document.querySelector('.soft')).color]"
        )
        ink, ground, soft = map(_luminance, colors)
        grounds.append(ground)
        for text in (ink, soft):
            low, high = sorted((text, ground))
            assert (high + 0.05) / (low + 0.05) >= 4.5  # the contrast that WCAG 2.2 asks for (1.4.3)
        found.context.close()
    assert grounds[0] > 0.9 > 0.1 > grounds[1]


def _luminance(color: str) -> float:
    """Relative luminance of "rgb(r, g, b)" (WCAG 2.2)."""
    values = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_without_its_script_everything_is_still_there(browser: Any, small: Path) -> None:
    found = _Opened(browser, small, java_script_enabled=False, viewport={"width": 360, "height": 800})
    assert found.page.locator("#classes tbody tr").count() == 10
    assert found.page.locator(".gallery .heat").first.is_visible()
    assert found.page.get_by_role("button").count() == 0
    assert not found.page.locator("dialog").is_visible()
    found.context.close()


def test_what_a_page_would_fetch_or_run_is_refused_by_its_own_policy(browser: Any, small: Path, tmp_path: Path) -> None:
    bad = '<img src="http://example.org/a.png"><script>document.title = "stranger"</script>'
    path = tmp_path / "bad.html"
    path.write_text(small.read_text().replace("<main>", f"<main>{bad}"))
    found = _Opened(browser, path)
    assert found.page.title() != "stranger"
    assert found.failures == [("http://example.org/a.png", "csp")]  # refused by the page, before any network
    assert len(found.complaints) == 2
    found.context.close()
