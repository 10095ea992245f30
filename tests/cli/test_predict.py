"""`reslab predict`: rows in order against Python, what is walked, bad files, exit codes; `evaluate` by names."""

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

NAMES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(1)
    spec = PreprocessSpec(channels=3, height=16, width=16, short_side=20, mean=(0.5,) * 3, std=(0.2,) * 3)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    network = create_model("cifar_resnet20", num_classes=3)
    save_model(path, network, ModelCard(preprocess=spec, class_names=NAMES, recipe="elsewhere"))
    return str(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """train/CLASS with two images each, and what is no image among them."""
    folder = tmp_path / "photos"
    generator = np.random.default_rng(0)
    for name in NAMES:
        for number in range(2):
            path = folder / "train" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (30, 24 + number, 3), dtype=np.uint8)).save(path)
    return folder


def read_json(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def pipe(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_a_folder_is_walked_and_answers_as_python_does(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / ".hidden.png").write_text("hidden")
    (photos / "notes.txt").write_text("no image")
    (photos / ".cache").mkdir()
    (photos / ".cache" / "a.png").write_text("hidden")
    (photos / "train" / "again").symlink_to(photos)  # a loop
    assert run(["predict", model, str(photos), "--format", "json", "--batch-size", "4"]) == 0
    found = read_json(capsys)
    assert [row["image"] for row in found] == [str(path) for path in sorted(photos.glob("train/[abc]*/?.png"))[:6]]
    network = reslab.load(model)
    for row in found:
        alone = network.predict(row["image"])
        assert (row["label"], [answer["label"] for answer in row["top"]]) == (alone.label, [n for n, _ in alone.top])
        # a logit's last digits, which the size of the batch moves, are many of a small probability's
        expected = pytest.approx([value for _, value in alone.top], rel=1e-5, abs=1e-7)
        assert [answer["probability"] for answer in row["top"]] == expected
        assert row["probability"] == row["top"][0]["probability"]


def test_bad_files_are_reported_and_the_exit_code_says_so(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, absent = photos / "train/ant/0.png", photos / "train/ant/bad.jpg", photos / "absent.png"
    bad.write_text("no picture")
    assert run(["predict", model, str(bad), str(good), str(absent), "--format", "csv"]) == 1
    out, err = capsys.readouterr()
    rows = list(csv.reader(out.splitlines()))
    assert rows[0] == ["image", "label", "probability", "label_2", "probability_2", "label_3", "probability_3"]
    assert [row[0] for row in rows[1:]] == [str(good)]
    assert float(rows[1][2]) >= float(rows[1][4]) >= float(rows[1][6])
    assert f"reslab: {bad}: cannot be read as an image" in err
    assert f"reslab: {absent}: does not exist." in err
    assert "reslab: 2 of 3 pictures could not be read." in err


def test_a_link_to_itself_and_a_name_too_long_keep_nothing_else_from_its_answer(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("self", "self.jpg"):
        (photos / "train" / "ant" / name).symlink_to(name)
    assert run(["predict", model, 300 * "a", str(photos / "train" / "ant"), "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "self.jpg: cannot be read as an image ([Errno 40] Too many levels of symbolic links" in err
    assert "reslab: 2 of 4 pictures could not be read." in err


def test_paths_come_from_standard_input_with_any_bytes_in_them(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = photos.as_posix().encode() + b"/caf\xe9, \xc3\xa9.png"
    first = photos / "train/ant/0.png"
    Path(os.fsdecode(odd)).write_bytes(first.read_bytes())
    pipe(monkeypatch, odd + b"\r\n\n" + bytes(first) + b"\n")
    assert run(["predict", model, "-", "--format", "csv", "--top-k", "1"]) == 0
    rows = list(csv.reader(capsys.readouterr().out.splitlines()))
    assert [row[0] for row in rows[1:]] == [f"{photos}/caf\\udce9, é.png", str(first)]
    assert rows[1][1:] == rows[2][1:]
    assert len(rows[0]) == 3


def test_the_table_has_the_best_class_first(model: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(photos / "train/cat/1.png")
    assert run(["predict", model, path, "--top-k", "2"]) == 0
    (first, p), (second, q) = reslab.load(model).predict(path, top_k=2).top
    assert capsys.readouterr().out == f"{100 * p:5.1f} % {first}  {100 * q:5.1f} % {second}  {path}\n"


def test_an_output_file_is_there_whole_or_not_at_all(
    model: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "answers.csv"
    arguments = ["predict", model, str(photos), "--output", str(output), "--format", "csv"]
    assert run(arguments) == 0
    assert capsys.readouterr().out == ""
    assert len(output.read_text().splitlines()) == 7
    output.unlink()
    pipe(monkeypatch, b"\n")
    assert run(["predict", model, "-", "--output", str(output)]) == 1
    assert "no path came from standard input" in capsys.readouterr().err
    monkeypatch.setattr("reslab.cli.output.Csv.row", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run(arguments) == 130
    assert not list(tmp_path.glob("*answers*"))
    assert run(["predict", model, str(photos), "--output", str(tmp_path / "absent" / "a.csv")]) == 1
    assert "absent/a.csv: cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "nothing to predict: name images, folders, or -"),
        (["{empty}"], 1, "empty: holds no image files"),
        (["{photo}", "--top-k", "0"], 2, "top_k is 0; allowed: 1 or more"),
        (["{photo}", "--batch-size", "0", "--engine", "torch-fp32"], 2, "--batch-size is 0"),
        (["{photo}", "--engine", "openvin"], 2, "Did you mean 'openvino'"),
        (["{photo}", "--engine", "foo"], 2, "--engine is 'foo'; allowed: 'fp32', 'auto', 'torch-fp32', "),
        (["{photo}", "--resize-mode", "stretch"], 2, "stretch"),
        (["{photo}", "--topk", "3"], 2, "--topk is not an option of predict. Did you mean '--top-k'?"),
    ],
)
def test_what_cannot_be_done_is_said(
    model: str, photos: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "empty").mkdir()
    names = {"empty": photos / "empty", "photo": photos / "train/ant/0.png"}
    assert run(["predict", model, *(part.format(**names) for part in arguments)]) == code
    assert said in capsys.readouterr().err


def test_another_engine_and_another_fit_come_from_options(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(photos / "train/bee/0.png")
    network = reslab.load(model)
    for options, resize_mode in ([["--engine", "torch-fp32"], None], [["--resize-mode", "squash"], "squash"]):
        assert run(["predict", model, path, "--format", "json", *options]) == 0
        out, err = capsys.readouterr()
        expected = network.predict(path, resize_mode=resize_mode).top  # type: ignore[arg-type]
        found = [(answer["label"], answer["probability"]) for answer in json.loads(out)["top"]]
        assert [name for name, _ in found] == [name for name, _ in expected]
        assert [value for _, value in found] == pytest.approx([value for _, value in expected], rel=1e-4)
        assert ("engine: torch-fp32" in err) == ("--engine" in options)


def test_the_folder_of_a_run_is_its_model(digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (8, 8), 60).save(tmp_path / "right.png")
    Image.new("L", (20, 10), 60).save(tmp_path / "wrong.png")
    assert run(["predict", str(digits_run), str(tmp_path / "right.png"), "--format", "json"]) == 0
    assert len(read_json(capsys)[0]["top"]) == 5
    assert run(["predict", str(digits_run), str(tmp_path / "wrong.png")]) == 1
    assert "wrong.png: has 20x10 pixels, but the model takes only 8x8. Set resize_mode" in capsys.readouterr().err
    assert run(["predict", str(digits_run), str(tmp_path / "wrong.png"), "--resize-mode", "letterbox"]) == 0


# --- evaluate ---------------------------------------------------------------------------------------------------------


def evaluate(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    assert run(["evaluate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def right_by_hand(model: str, folder: Path) -> int:
    """How many pictures of folder/CLASS/* are answered with their class, one by one."""
    network = reslab.load(model)
    return sum(network.predict(path).label == path.parent.name for path in folder.glob("*/*.png"))


def test_evaluate_matches_classes_by_name(model: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = photos / "train"
    answers = {
        name: {path: reslab.load(model).predict(path).label for path in (folder / name).iterdir()} for name in NAMES
    }
    for name, found in answers.items():  # so that some answers are right whatever the weights say
        for number, (path, label) in enumerate(found.items()):
            path.rename(folder / (label if number else name) / f"{name}{number}.png")
    for extra in NAMES:
        first = next((folder / "ant").parent.glob("*/*.png"))
        (folder / extra / "copy.png").write_bytes(first.read_bytes())
    expected = right_by_hand(model, folder)
    assert expected > 0
    found = evaluate([model, "--data", str(photos), "--split", "train"], capsys)
    assert (found["correct"], found["total"]) == (expected, 9)
    for gone in sorted((folder / "ant").iterdir()):
        gone.unlink()
    (folder / "ant").rmdir()  # now bee is the first class of the data, and the second of the model
    left = len(list(folder.glob("*/*.png")))
    assert run(["evaluate", model, "--data", str(photos), "--split", "train", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["correct"], found["total"]) == (right_by_hand(model, folder), left)
    assert "the data has 2 of the model's 3 classes" in err


def test_evaluate_names_a_class_that_the_model_does_not_know(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "train" / "ant").rename(photos / "train" / "dog")
    assert run(["evaluate", model, "--data", str(photos), "--split", "train"]) == 1
    said = capsys.readouterr().err
    assert "the model does not know 1 of the 3 classes of photos: 'dog'. It knows: 'ant', 'bee', 'cat'" in said


def test_evaluate_takes_all_parts_together_and_says_which_there_are(
    model: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [model, "--data", str(photos)]
    assert run(["evaluate", *arguments]) == 1
    said = capsys.readouterr().err
    assert "photos has no split 'test'; it has: train." in said
    assert "For all parts together: --split all." in said
    assert "--data.validation_size" not in said  # a setting of runs, which evaluate does not know
    assert run(["calibrate", *arguments]) == 1
    said = capsys.readouterr().err
    assert "photos has no split 'validation'; it has: train. Calibration needs images that the network was not" in said
    for name in NAMES:
        path = photos / "val" / name / "x.png"
        path.parent.mkdir(parents=True)
        path.write_bytes((photos / "train" / name / "1.png").read_bytes())
    parts = [evaluate([*arguments, "--split", split], capsys) for split in ("train", "validation", "all")]
    assert [part["total"] for part in parts] == [6, 3, 9]
    assert parts[0]["correct"] + parts[1]["correct"] == parts[2]["correct"]
    squashed = evaluate([*arguments, "--split", "all", "--resize-mode", "squash"], capsys)
    assert squashed["protocol"] == "single whole picture squashed to 16x16, fp32"
    whole = ["--split", "all", "--protocol", "multi-scale", "--sides", "16", "--resize-mode", "squash"]
    assert run(["evaluate", *arguments, *whole]) == 2
    assert "--resize-mode is 'squash', but protocol 'multi-scale' shows whole pictures" in capsys.readouterr().err


def test_a_fit_is_for_photos(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(digits_run), "--resize-mode", "squash"]) == 2
    assert "--resize-mode is 'squash', but digits has images of one size in memory" in capsys.readouterr().err


def test_all_parts_of_images_in_memory_are_all_images(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [evaluate([str(digits_run), "--split", split], capsys) for split in ("train", "validation", "test", "all")]
    assert sum(part["correct"] for part in parts[:3]) == parts[3]["correct"]
    assert parts[3]["total"] == 1797
