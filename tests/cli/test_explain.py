"""`reslab predict --explain`: where heat maps go and what is in them; rows stay as they are; what is refused."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import reslab
from reslab import PreprocessSpec, create_model
from reslab.artifacts.model_file import ModelCard, save_model
from reslab.cli.main import run

NAMES = ("ant", "bee", "café 犬")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(1)
    spec = PreprocessSpec(channels=3, height=16, width=16, resize_mode="squash", mean=(0.5,) * 3, std=(0.2,) * 3)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    save_model(
        path, create_model("cifar_resnet8", num_classes=3), ModelCard(preprocess=spec, class_names=NAMES, recipe="x")
    )
    return str(path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(*names: str) -> None:
    """Make pictures, each another one."""
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(len(name) + sum(os.fsencode(name))).integers(0, 256, (20, 24, 3), np.uint8)
        with path.open("wb") as file:
            Image.fromarray(pixels).save(file, "PNG")


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def rows(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def pipe(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def same(path: str, expected: Image.Image) -> bool:
    """Whether a file shows a picture, as far as batches of another size round otherwise."""
    with Image.open(path) as found:
        return bool(np.abs(np.asarray(found).astype(int) - np.asarray(expected)).max() <= 2)


def test_every_picture_has_a_heat_map_at_its_place(model: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw("photos/x.png", "photos/a/1.png", "photos/b/1.png", "photos/b/été 犬.png")
    assert run(["predict", model, "photos/", "--explain", "new/heat", "--format", "json", "--batch-size", "3"]) == 0
    out, err = capsys.readouterr()
    assert "heat maps: 4 in new/heat" in err
    assert files("new/heat") == ["a/1.png.png", "b/1.png.png", "b/été 犬.png.png", "x.png.png"]
    network = reslab.load(model)
    for row in rows(out):
        assert row["heat_map"] == f"new/heat/{row['image'].removeprefix('photos/')}.png"
        expected = network.explain(row["image"])
        assert same(row["heat_map"], expected.panel())
        with Image.open(row["heat_map"]) as found:
            assert found.text["Description"] == "; ".join(expected.captions())  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_rows_are_those_without_heat_maps(
    model: str, here: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    draw("photos/1.png", "photos/2.png", "photos/3.png")
    Path("photos/10.jpg").write_text("no picture")
    arguments = ["predict", model, "photos", "--format", form, "--batch-size", "2"]
    assert run(arguments) == 1
    plain, said = capsys.readouterr()
    assert run([*arguments, "--explain", "heat"]) == 1
    out, err = capsys.readouterr()
    assert files("heat") == ["1.png.png", "2.png.png", "3.png.png"]
    assert err.replace("heat maps: 3 in heat\n", "") == said
    assert "photos/10.jpg: cannot be read as an image" in err
    if form == "csv":
        found = list(csv.reader(out.splitlines()))
        assert [row[-1] for row in found] == ["heat_map", *(f"heat/{number}.png.png" for number in (1, 2, 3))]
        assert [row[:-1] for row in found] == list(csv.reader(plain.splitlines()))
    elif form == "json":
        found = rows(out)
        assert [row.pop("heat_map") for row in found] == [f"heat/{number}.png.png" for number in (1, 2, 3)]
        assert found == rows(plain)
    else:
        assert out == plain


def test_the_heat_map_of_another_class_is_asked_for_by_name(
    model: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw("1.png")
    network = reslab.load(model)
    for name in NAMES:
        assert run(["predict", model, "1.png", "--explain", "heat", "--explain-class", name]) == 0
        assert same("heat/1.png.png", network.explain("1.png", class_name=name).panel())  # the one before is replaced
        assert NAMES[int(network.predict("1.png").logits.argmax())] in capsys.readouterr().out.split("%")[1]


def test_no_two_pictures_share_a_heat_map(
    model: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw("p/1.png", "p/1.jpg", "q/1.png", "Q/1.PNG", "1.png", "1.png-2", "far/1.png", "q/sub/1.png")
    pipe(monkeypatch, b"1.png\n./1.png\n1.png-2\n../" + here.name.encode() + b"/far/1.png\n")
    given = ["p", "q", str(here / "Q" / "1.PNG"), "p/1.png", "-", "p/../p/1.png", "p"]
    assert run(["predict", model, *given, "--explain", "heat", "--format", "json"]) == 0
    found = [(row["image"], row["heat_map"]) for row in rows(capsys.readouterr().out)]
    assert found == [
        ("p/1.jpg", "heat/1.jpg.png"),
        ("p/1.png", "heat/1.png.png"),
        ("q/1.png", "heat/1.png-2.png"),
        ("q/sub/1.png", "heat/sub/1.png.png"),
        (f"{here}/Q/1.PNG", "heat/1.PNG-3.png"),  # where a and A are one letter, too
        ("p/1.png", "heat/p/1.png.png"),
        ("1.png", "heat/1.png-4.png"),
        ("./1.png", "heat/1.png-4.png"),
        ("1.png-2", "heat/1.png-2-2.png"),
        (f"../{here.name}/far/1.png", "heat/1.png-5.png"),
        ("p/../p/1.png", "heat/1.png.png"),
        ("p/1.jpg", "heat/1.jpg.png"),
        ("p/1.png", "heat/1.png.png"),
    ]
    network = reslab.load(model)
    assert all(same(heat, network.explain(image).panel()) for image, heat in found)
    assert len(files("heat")) == len({heat for _, heat in found}) == 9
    assert not same("heat/1.png.png", network.explain("q/1.png").panel())


def test_names_of_any_bytes_and_any_length_are_kept_as_far_as_they_go(
    model: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd, long = os.fsdecode(b"caf\xe9, \xc3\xa9.png"), "犬" * 83 + ".png"  # 253 bytes
    draw(odd, long)
    pipe(monkeypatch, os.fsencode(odd) + b"\n" + long.encode() + b"\n")
    assert run(["predict", model, "-", "--explain", "heat", "--format", "json"]) == 0
    heat_maps = [row["heat_map"] for row in rows(capsys.readouterr().out)]
    assert heat_maps == [f"heat/{odd}.png", f"heat/{'犬' * 66}.png"]
    assert all(Path(path).is_file() for path in heat_maps)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["p/1.png", "--explain", "heat", "--engine", "auto"], 2, "which --engine auto does not compute; leave out"),
        (["p/1.png", "--explain", "file"], 2, "--explain is file, a file; name a folder"),
        (["p/1.png", "--explain-class", "ant"], 2, "needs a folder for the heat maps: --explain FOLDER"),
        (["p/1.png", "--explain", "heat", "--explain-class", "and"], 2, "'and' is not one of this model's: 'ant',"),
        (["p/1.png", "q", "--explain", "q"], 2, "--explain is q, but q is in it"),
        (
            ["q", "p", "--explain", "p/heat"],
            2,
            "--explain is p/heat, which is inside p: the next prediction would take",
        ),
        ([".", "--explain", "heat"], 2, "--explain is heat, which is inside .: "),
        (["q", "p/1.png", "--explain", "p"], 2, "--explain is p, but p/1.png is in it"),
        (["link", "--explain", "p/"], 2, "--explain is p, but link is in it"),
        (["-", "--explain", "p"], 2, "--explain is p, but p/1.png is in it"),
        (["r", "--explain", "p"], 2, "--explain is p, but r/inner/1.png is in it"),
        (["p/1.png", "--explain", "file/heat"], 1, "file/heat/p: cannot make the folder for a heat map"),
        (["p/1.png", "--explain", "full"], 1, "full/p/1.png.png: cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(
    model: str,
    here: Path,
    arguments: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw("p/1.png", "q/2.png")
    Path("file").touch()
    Path("link").symlink_to("p")
    Path("r").mkdir()
    Path("r/inner").symlink_to(here / "p")
    Path("full/p/1.png.png").mkdir(parents=True)
    pipe(monkeypatch, b"q/2.png\np/1.png\n")
    before = files(".")
    assert run(["predict", model, *arguments, "--output", "answers"]) == code
    assert said in capsys.readouterr().err
    assert [name for name in files(".") if not name.endswith("2.png.png")] == before


def test_a_run_of_grey_digits_explains_and_stops_between_pictures(
    digits_run: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        Image.new("L", (8, 8), 60 * number).save(f"{number}.png")
    given = ["predict", str(digits_run), "0.png", "1.png", "2.png", "--explain", "heat", "--output", "answers"]
    assert run(given) == 0
    with Image.open("heat/0.png.png") as found:
        assert found.size == (3 * 8 + 2 * 384, 8 + 384 + 22 + 4)
    Path("heat/2.png.png").unlink()
    Path("answers").unlink()
    heat = iter([b"whole"])
    monkeypatch.setattr("reslab.inference.Explanation.panel", lambda self: Interrupting(next(heat, None)))
    assert run(given) == 130
    assert files("heat") == ["0.png.png", "1.png.png"]
    assert Path("heat/0.png.png").read_bytes() == b"whole"
    assert not Path("answers").exists()


class Interrupting:
    """A panel that is content, or the moment when Ctrl-C is pressed."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content

    def save(self, file: io.BytesIO, *_: object, **__: object) -> None:
        if self.content is None:
            raise KeyboardInterrupt
        file.write(self.content)
