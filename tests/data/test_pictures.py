"""One view of every kind of picture: sizes and borders by hand, contents against Pillow, kinds against each other."""

from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.artifacts.reader import checked
from reslab.data.dataset import FileDataset
from reslab.data.images.decode import decode
from reslab.data.images.photos import measure_photo_preprocess
from reslab.data.images.picture import read_picture, view, view_of, with_resize_mode
from reslab.data.views import describe_view
from reslab.errors import RunError, UsageError
from reslab.spec import PreprocessSpec, ResizeMode

MEAN = (0.485, 0.456, 0.406)


def make_spec(
    resize_mode: ResizeMode = "crop", short_side: int | None = None, height: int = 12, width: int = 16
) -> PreprocessSpec:
    return PreprocessSpec(
        channels=3,
        height=height,
        width=width,
        mean=MEAN,
        std=(0.2,) * 3,
        short_side=short_side,
        resize_mode=resize_mode,
    )


def make_pixels(height: int, width: int) -> torch.Tensor:
    generator = np.random.default_rng(height * width)
    return torch.from_numpy(generator.integers(0, 256, (height, width, 3), dtype=np.uint8)).permute(2, 0, 1)


def pillow(pixels: torch.Tensor, height: int, width: int) -> np.ndarray:
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR)).transpose(2, 0, 1).astype(int)


@pytest.mark.parametrize(("height", "width"), [(40, 20), (20, 40), (12, 16), (3, 5), (200, 1)])
def test_a_squashed_picture_is_pillows_resize(height: int, width: int) -> None:
    pixels = make_pixels(height, width)
    found = view(pixels, make_spec("squash"), "x")
    assert np.abs(found.numpy().astype(int) - pillow(pixels, 12, 16)).max() <= 1


@pytest.mark.parametrize(
    ("height", "width", "inner"),  # inner: rows and columns of the picture in 12x16, from (top, left)
    [
        (40, 20, (12, 6, 0, 5)),
        (20, 40, (8, 16, 2, 0)),
        (24, 32, (12, 16, 0, 0)),
        (3, 4, (12, 16, 0, 0)),
        (30, 50, (10, 16, 1, 0)),  # 9.6 rows
        (300, 1, (12, 1, 0, 7)),  # 0.04 columns; of 15 columns of border the odd one is on the right
    ],
)
def test_a_letterbox_holds_the_whole_picture_and_the_mean_around_it(
    height: int, width: int, inner: tuple[int, int, int, int]
) -> None:
    pixels = make_pixels(height, width)
    found = view(pixels, make_spec("letterbox"), "x")
    rows, columns, top, left = inner
    part = (slice(None), slice(top, top + rows), slice(left, left + columns))
    assert np.abs(found[part].numpy().astype(int) - pillow(pixels, rows, columns)).max() <= 1
    border = torch.ones(found.shape, dtype=torch.bool)
    border[part] = False
    expected = torch.tensor([124, 116, 104], dtype=torch.uint8)[:, None, None].expand(found.shape)  # 255 x mean
    assert torch.equal(found[border], expected[border])


def test_a_file_from_before_there_was_a_fit_means_crop() -> None:
    stored = {"channels": 3, "height": 8, "width": 8, "mean": [0.5] * 3, "std": [0.2] * 3, "short_side": 9}
    spec = checked({**stored, "mean_image": None}, PreprocessSpec, "spec")
    assert spec.resize_mode == "crop"
    for resize_mode in ("letterbox", "squash"):
        assert checked(asdict(make_spec(resize_mode)), PreprocessSpec, "spec") == make_spec(resize_mode)
    with pytest.raises(RunError, match="resize_mode"):
        checked({**stored, "resize_mode": "stretch"}, PreprocessSpec, "spec")
    with pytest.raises(UsageError, match="only 'crop' has one"):
        make_spec("squash", short_side=20)


def test_another_fit_resizes_what_had_to_have_the_size() -> None:
    pixels, exact = make_pixels(30, 50), make_spec()
    with pytest.raises(RunError, match=r"^x: has 50x30 pixels, but the model takes only 16x12\. .*'letterbox'"):
        view(pixels, exact, "x")
    assert with_resize_mode(exact, "crop").short_side == 16
    for resize_mode in ("crop", "letterbox", "squash"):
        assert view(pixels, with_resize_mode(exact, resize_mode), "x").shape == (3, 12, 16)
    kept = make_spec(short_side=20)
    assert with_resize_mode(kept, "crop") is kept
    assert with_resize_mode(kept, None) is kept
    assert with_resize_mode(make_spec("squash"), "squash") == make_spec("squash")


def test_a_picture_too_thin_to_crop_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(RunError, match=r"thin: has 200000x1 pixels: .* Use resize_mode 'letterbox' or 'squash'"):
        view(torch.zeros(3, 1, 200_000, dtype=torch.uint8), make_spec(short_side=256), "thin")


@pytest.mark.parametrize("resize_mode", ["crop", "letterbox", "squash"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".npy"])
def test_a_picture_of_every_kind_gives_the_same_bits(tmp_path: Path, suffix: str, resize_mode: ResizeMode) -> None:
    spec, path = with_resize_mode(make_spec(short_side=20), resize_mode), tmp_path / f"a{suffix}"
    values = make_pixels(61, 43).permute(1, 2, 0).numpy()
    np.save(path, values) if suffix == ".npy" else Image.fromarray(values).save(path)
    expected = view_of(path, spec)
    decoded = decode(path, 3)
    kinds = [str(path), path.read_bytes(), decoded, decoded.contiguous(), decoded.permute(1, 2, 0).numpy()]
    kinds.append(np.asfortranarray(decoded.permute(1, 2, 0).numpy()))
    for kind in kinds:
        assert torch.equal(view_of(kind, spec), expected)
    if suffix != ".npy":
        assert torch.equal(view_of(Image.open(path), spec), expected)
        assert torch.equal(view_of(Image.open(BytesIO(path.read_bytes())), spec), expected)


def test_grey_colour_and_transparent_arrays_become_each_other_as_files_do(tmp_path: Path) -> None:
    grey = make_pixels(9, 7)[0].numpy()
    Image.fromarray(grey).save(tmp_path / "grey.png")
    in_colour = decode(tmp_path / "grey.png", 3)
    for kind in (grey, grey[:, :, None], torch.from_numpy(grey), torch.from_numpy(grey)[None]):
        assert torch.equal(read_picture(kind, 3, "x"), in_colour)
        assert torch.equal(read_picture(kind, 1, "x"), torch.from_numpy(grey)[None])
    colour = make_pixels(9, 7).permute(1, 2, 0).numpy()
    Image.fromarray(colour).save(tmp_path / "colour.png")
    assert torch.equal(read_picture(colour, 1, "x"), decode(tmp_path / "colour.png", 1))
    assert torch.equal(read_picture(colour, 4, "x"), decode(tmp_path / "colour.png", 4))


def test_what_is_no_picture_is_named() -> None:
    pixels = make_pixels(9, 7)
    for wrong, reason in [
        (pixels.float(), r"^x has values of type float32; a picture has uint8 pixels"),
        (pixels.bfloat16(), "values of type bfloat16"),
        (pixels.numpy().astype(np.float64), "values of type float64"),
        (pixels[None], r"x is an array of \(1, 3, 9, 7\)"),
        (pixels[:2], r"array of \(9, 7, 2\): 2 channels, but the model takes 3"),
        (pixels[:, :0], "a picture is a path, the bytes"),
        (3, "is of type int; a picture is a path"),
        (b"no picture", "x: cannot be read as an image"),
        ("a\0b", "cannot be read as an image"),
        (Image.new("F", (4, 4)), "x: has 32-bit pixels"),
    ]:
        with pytest.raises(RunError, match=reason):
            read_picture(wrong, 3, "x")  # type: ignore[arg-type]


def test_the_mean_for_letterboxes_is_measured_without_their_borders(tmp_path: Path) -> None:
    Image.new("RGB", (40, 10), (200, 100, 50)).save(tmp_path / "a.png")
    data = FileDataset("one", (tmp_path / "a.png",), torch.tensor([0]), ("a",))
    spec = measure_photo_preprocess(
        data, mean="channel", scale="none", size=8, short_side=None, seed=0, resize_mode="letterbox"
    )
    assert spec.resize_mode == "letterbox"
    assert spec.mean == pytest.approx((200 / 255, 100 / 255, 50 / 255), abs=1e-6)
    found = view_of(tmp_path / "a.png", spec)  # so border and picture are of one colour
    assert torch.equal(found, torch.tensor([200, 100, 50], dtype=torch.uint8)[:, None, None].expand(3, 8, 8))


def test_the_protocol_says_the_fit() -> None:
    data = FileDataset("none", (), torch.tensor([]), ("a",))
    assert describe_view(data, make_spec(short_side=20)) == "single centre crop 12x16 of short side 20, fp32"
    assert describe_view(data, make_spec()) == "single original view, fp32"
    assert describe_view(data, make_spec("letterbox")) == "single whole picture letterboxed into 12x16, fp32"
    assert describe_view(data, make_spec("squash")) == "single whole picture squashed to 12x16, fp32"
