"""Photos: decoding, the centre view and the training stream against direct Pillow computations."""

import contextlib
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from reslab.data.augment import Draws
from reslab.data.dataset import FileDataset
from reslab.data.draws import CROP_X, CROP_Y, FLIP, SCALE, draw_integers
from reslab.data.images.decode import decode, resize_short_side
from reslab.data.images.photo_augment import ScaleCropFlip
from reslab.data.images.photo_stream import PhotoStream, color_shift
from reslab.data.images.photos import measure_photo_preprocess
from reslab.data.images.picture import view_of
from reslab.data.preprocess import Normalizer
from reslab.data.views import batches
from reslab.errors import RunError
from reslab.spec import PreprocessSpec

CPU = torch.device("cpu")
SPEC = PreprocessSpec(channels=3, height=16, width=16, short_side=20, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> FileDataset:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    paths = []
    for number in range(9):
        pixels = generator.integers(0, 256, (30 + 3 * number, 50 - 2 * number, 3), dtype=np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return FileDataset("noise", tuple(paths), torch.arange(9) % 3, ("a", "b", "c"))


def make_stream(photos: FileDataset, **changes: object) -> PhotoStream:
    settings: dict[str, object] = {"color_std": 0.0, "batch_size": 4, "seed": 5, "device": CPU}
    view = ScaleCropFlip(min_short_side=18, max_short_side=24, crop_size=16, flip=True)
    return PhotoStream(photos, Normalizer(SPEC, CPU), view, size_at=lambda step: 16, **{**settings, **changes})  # type: ignore[arg-type]


def assert_within_one_level(found: torch.Tensor, expected: np.ndarray) -> None:
    difference = np.abs(found.numpy().astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.05


def test_the_centre_view_is_pillows_resize_and_crop(photos: FileDataset) -> None:
    picture = Image.open(photos.paths[1])  # 48 wide, 33 high
    resized = picture.resize((round(48 * 20 / 33), 20), Image.Resampling.BILINEAR)
    left = (resized.width - 16) // 2
    expected = np.asarray(resized.crop((left, 2, left + 16, 18))).transpose(2, 0, 1)
    assert_within_one_level(view_of(photos.paths[1], SPEC), expected)


def test_a_training_sample_is_pillows_resize_crop_and_flip(photos: FileDataset) -> None:
    stream = make_stream(photos)
    epoch, index = stream.positions(3)
    batch = stream.batch(3)
    stream.close()
    for row, (e, i) in enumerate(zip(epoch.tolist(), index.tolist(), strict=True)):

        def draw(bound: int, purpose: int, e: int = e, i: int = i) -> int:
            return int(draw_integers(bound, 5, purpose, e, torch.tensor(i)))

        picture = Image.open(photos.paths[i])
        scale = (18 + draw(7, SCALE)) / min(picture.size)
        picture = picture.resize(tuple(round(side * scale) for side in picture.size), Image.Resampling.BILINEAR)  # type: ignore[arg-type]
        left, top = draw(picture.width - 15, CROP_X), draw(picture.height - 15, CROP_Y)
        pixels = np.asarray(picture)[top : top + 16, left : left + 16]
        pixels = pixels[:, ::-1] if draw(2, FLIP) else pixels
        normalize = Normalizer(SPEC, CPU)
        found = ((batch.images[row] * normalize.std[0] + normalize.mean[0]) * 255).round().to(torch.uint8)
        assert_within_one_level(found, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("color_std", [0.0, 0.1])
def test_batches_depend_on_the_step_only_and_ranks_share_them(photos: FileDataset, color_std: float) -> None:
    streams = [make_stream(photos, color_std=color_std) for _ in range(2)]
    ranks = [make_stream(photos, color_std=color_std, rank=rank, world_size=2) for rank in range(2)]
    sequential = [streams[0].batch(step).images for step in range(5)]
    assert torch.equal(streams[1].batch(4).images, sequential[4])
    assert torch.equal(streams[1].batch(2).images, sequential[2])
    assert torch.equal(torch.cat([stream.batch(4).images for stream in ranks]), sequential[4])
    for stream in (*streams, *ranks):
        stream.close()


def test_color_shifts_have_the_covariance_of_alexnets_components() -> None:
    index = torch.arange(200_000)
    shifts = color_shift(Draws(3, torch.zeros_like(index), index), 0.1).squeeze().double()
    values = torch.tensor([0.2175, 0.0188, 0.0045]).double() * 0.1
    vectors = torch.tensor(
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
    ).double()
    expected = vectors @ torch.diag(values**2) @ vectors.T
    torch.testing.assert_close(torch.cov(shifts.T), expected, rtol=0.02, atol=1e-6)
    assert shifts.mean(0).abs().max() < 2e-4


def test_measured_means_are_those_of_the_centre_views(photos: FileDataset) -> None:
    spec = measure_photo_preprocess(photos, mean="pixel", scale="std", size=16, short_side=20, seed=0)
    views = torch.stack([view_of(path, SPEC) for path in photos.paths])
    normalized = Normalizer(spec, CPU)(views)
    assert normalized.mean(0).abs().max() < 1e-5
    assert spec.short_side == 20


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_evaluation_shows_every_photo_once_over_all_processes(photos: FileDataset, world_size: int) -> None:
    labels = [
        batch.labels
        for rank in range(world_size)
        for batch in batches(photos, SPEC, batch_size=2, device=CPU, rank=rank, world_size=world_size)
    ]
    assert torch.cat(labels).sort().values.tolist() == sorted(photos.labels.tolist())


def test_photos_are_turned_as_their_exif_says_and_all_kinds_become_rgb(tmp_path: Path) -> None:
    picture = Image.new("RGB", (30, 20), (255, 0, 0))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert decode(tmp_path / "turned.jpg", 3).shape == (3, 30, 20)
    for mode, name in (("CMYK", "a.jpg"), ("L", "b.png"), ("P", "c.png"), ("RGBA", "d.png"), ("1", "e.gif")):
        Image.new(mode, (8, 8)).save(tmp_path / name)
        assert decode(tmp_path / name, 3).shape == (3, 8, 8)
        assert decode(tmp_path / name, 1).shape == (1, 8, 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_bad_tag_beside_the_orientation_keeps_no_photo_from_being_read(orientation: int, tmp_path: Path) -> None:
    picture = Image.fromarray(np.arange(24 * 16 * 3, dtype=np.uint8).reshape(24, 16, 3))
    tags = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + struct.pack("<HHI4s", 0x0128, 2, 4, b"inc\0")
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + tags + bytes(4)  # a unit as text, not a number
    for name in ("p.png", "p.jpg"):
        picture.save(tmp_path / name, exif=exif)
    good = picture.getexif()
    good[0x0112] = orientation
    picture.save(tmp_path / "good.png", exif=good)
    with Image.open(tmp_path / "good.png") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal(decode(tmp_path / "p.png", 3).permute(1, 2, 0).numpy(), expected)
    assert decode(tmp_path / "p.jpg", 3).shape == (3, *expected.shape[:2])


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    for num_channels in (1, 3):
        assert np.array_equal(decode(tmp_path / "ramp.png", num_channels)[0].numpy(), ramp >> 8)


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "depth.tif")
    with pytest.raises(RunError, match=r"depth\.tif: has 32-bit pixels"):
        decode(tmp_path / "depth.tif", 3)


def test_a_palette_with_transparency_gives_its_colours_without_a_warning(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 4), 7)
    picture.putpalette([value for number in range(256) for value in (number, 2, 3)])
    picture.save(tmp_path / "p.png", transparency=bytes(range(256)))
    assert decode(tmp_path / "p.png", 3)[:, 0, 0].tolist() == [7, 2, 3]


def test_the_number_of_threads_changes_nothing(photos: FileDataset) -> None:
    streams = [make_stream(photos, num_threads=count) for count in (1, 3)]
    assert torch.equal(streams[0].batch(2).images, streams[1].batch(2).images)
    for stream in streams:
        stream.close()


def test_a_sample_does_not_depend_on_the_batch_it_is_in(photos: FileDataset) -> None:
    four, six = make_stream(photos, color_std=0.1), make_stream(photos, color_std=0.1, batch_size=6)
    fours = torch.cat([four.batch(step).images for step in range(3)])
    sixes = torch.cat([six.batch(step).images for step in range(2)])
    assert torch.equal(fours, sixes)
    four.close()
    six.close()


def test_a_bad_file_in_a_batch_is_named(photos: FileDataset, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    broken = FileDataset("noise", (tmp_path / "bad.png",) * 9, photos.labels, photos.class_names)
    stream = make_stream(broken)
    with pytest.raises(RunError, match=r"bad\.png: cannot be read as an image"):
        stream.batch(0)
    stream.close()


def test_a_truncated_or_foreign_file_is_named(photos: FileDataset, tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(photos.paths[0].read_bytes()[:900])
    (tmp_path / "text.jpg").write_text("no picture")
    for name in ("cut.png", "text.jpg"):
        with pytest.raises(RunError, match=rf"{name}: cannot be read as an image"):
            decode(tmp_path / name, 3)


def test_without_a_short_side_the_size_must_be_right(photos: FileDataset) -> None:
    spec = PreprocessSpec(channels=3, height=16, width=16, mean=(0.0,) * 3, std=(1.0,) * 3)
    with pytest.raises(RunError, match=r"0\.png: has 50x30 pixels, but the model takes only 16x16"):
        view_of(photos.paths[0], spec)


@pytest.fixture(scope="module")
def smooth_photo() -> Image.Image:
    """A picture with edges and colours, such as JPEG was made for."""
    y, x = np.mgrid[0:90, 0:121] / 20
    planes = [np.sin(x * y / 3), np.cos(x), np.where(x + y > 5, 0.8, -0.5)]
    return Image.fromarray(((np.stack(planes, axis=-1) + 1) * 127).astype(np.uint8))


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}), ("RGB", {"progressive": True}), ("RGB", {"subsampling": 0}), ("RGB", {"quality": 30}),
        ("L", {}), ("CMYK", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("num_channels", [1, 3])
def test_jpegs_have_pillows_pixels(
    smooth_photo: Image.Image, tmp_path: Path, mode: str, options: dict[str, Any], num_channels: int
) -> None:
    path = tmp_path / "photo.jpg"
    smooth_photo.convert(mode).save(path, **options)
    expected = np.asarray(Image.open(path).convert("RGB" if num_channels == 3 else "L")).reshape(90, 121, -1)
    assert np.array_equal(decode(path, num_channels).permute(1, 2, 0).numpy(), expected)


def test_a_jpeg_with_junk_after_it_is_read_and_a_truncated_one_is_named(
    smooth_photo: Image.Image, tmp_path: Path
) -> None:
    smooth_photo.save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "junk.jpg").write_bytes(content + b"junk")
    assert torch.equal(decode(tmp_path / "junk.jpg", 3), decode(tmp_path / "whole.jpg", 3))
    (tmp_path / "cut.jpg").write_bytes(content[:-300])
    with pytest.raises(RunError, match=r"cut\.jpg: cannot be read as an image .*truncated"):
        decode(tmp_path / "cut.jpg", 3)


def test_resizing_is_pillows_within_one_level(smooth_photo: Image.Image) -> None:
    pixels = torch.from_numpy(np.array(smooth_photo)).permute(2, 0, 1)
    for short_side in (31, 64, 90, 150):
        width = max(short_side, round(121 * short_side / 90))
        expected = np.asarray(smooth_photo.resize((width, short_side), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        assert_within_one_level(resize_short_side(pixels, short_side), expected)


@pytest.mark.parametrize("name", ["a.JPG", "a.png", "a.webp", "a.bmp", "a.tif", "a.TIFF", "a.gif"])
@pytest.mark.parametrize(("num_channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_every_format_has_pillows_pixels(
    smooth_photo: Image.Image, tmp_path: Path, name: str, num_channels: int, mode: str
) -> None:
    smooth_photo.save(tmp_path / name)
    with Image.open(tmp_path / name) as opened:
        expected = np.asarray(opened.convert(mode)).reshape(90, 121, -1)
    assert np.array_equal(decode(tmp_path / name, num_channels).permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_transparency_is_the_fourth_channel(smooth_photo: Image.Image, tmp_path: Path, suffix: str) -> None:
    alpha = np.arange(90 * 121, dtype=np.uint32).reshape(90, 121) % 251
    pixels = np.dstack([np.asarray(smooth_photo), alpha.astype(np.uint8)])
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", lossless=True)
    found = decode(tmp_path / f"a.{suffix}", 4)
    assert np.array_equal(found[3].numpy(), pixels[..., 3])
    if suffix != "webp":  # it keeps no colours where nothing shows
        assert np.array_equal(found[:3].permute(1, 2, 0).numpy(), pixels[..., :3])


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.new("P", (8, 6), number) for number in (3, 200)]
    for frame in frames:
        frame.putpalette([value for number in range(256) for value in (number, 0, 255 - number)])
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert decode(tmp_path / "a.gif", 3)[:, 0, 0].tolist() == [3, 0, 252]


@pytest.mark.parametrize("dtype", ["uint8", "<u2", ">u2"])
@pytest.mark.parametrize(("shape", "order"), [((6, 5), "C"), ((6, 5, 1), "C"), ((6, 5, 7), "C"), ((6, 5, 7), "F")])
def test_arrays_are_read_with_as_many_channels_as_they_have(
    tmp_path: Path, shape: tuple[int, ...], order: Any, dtype: str
) -> None:
    top = 256 if dtype == "uint8" else 65536
    values = np.asarray(np.random.default_rng(0).integers(0, top, shape), dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", values)
    high = values if dtype == "uint8" else values // 256
    found = decode(tmp_path / "a.npy", 1 if len(shape) == 2 else shape[2])
    assert found.dtype == torch.uint8
    assert np.array_equal(found.permute(1, 2, 0).numpy(), high.reshape(6, 5, -1).astype(np.uint8))


def test_arrays_that_are_no_images_are_named(tmp_path: Path) -> None:
    def refused(content: bytes, words: str) -> None:
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(RunError, match=rf"a\.npy: {words}"):
            decode(tmp_path / "a.npy", 3)

    def saved(values: np.ndarray) -> bytes:
        np.save(tmp_path / "a.npy", values)
        return (tmp_path / "a.npy").read_bytes()

    refused(saved(np.zeros((4, 4, 3), np.float32)), "has values of type float32, whose range is not known")
    refused(saved(np.zeros((4, 4, 3), np.int8)), "has values of type int8")
    refused(saved(np.zeros((4, 4, 5), np.uint8)), r"has 5 channels, not 3; set data\.channels")
    refused(saved(np.zeros((4,), np.uint8)), r"is an array of \(4,\)")
    refused(saved(np.zeros((0, 4, 3), np.uint8)), "is an array of")
    whole = saved(np.zeros((4, 4, 3), np.uint8))
    refused(whole[:-1], "is cut off")
    refused(whole[:40], "cannot be read as an image")
    refused(whole.replace(b"(4, 4, 3)", b"(9**9)   "), "cannot be read as an image")
    refused(saved(np.array([["a", {}]], dtype=object)), "has values of type object")  # nothing in it is executed


def test_a_picture_has_no_other_number_of_channels(photos: FileDataset) -> None:
    with pytest.raises(RunError, match=r"0\.png: a picture has 1, 3 or 4 channels, not 7"):
        decode(photos.paths[0], 7)


def test_damaged_files_of_every_format_are_refused_or_read_and_nothing_else_happens(
    smooth_photo: Image.Image, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / "bad"
    for suffix in ("jpg", "png", "webp", "bmp", "tif", "gif"):
        smooth_photo.save(tmp_path / f"whole.{suffix}")
        whole = (tmp_path / f"whole.{suffix}").read_bytes()
        for _ in range(40):
            content = bytearray(whole[: generator.integers(1, len(whole) + 1)])
            for place in generator.integers(0, len(content), 6):
                content[place] = generator.integers(0, 256)
            path.write_bytes(content)
            with contextlib.suppress(RunError):  # anything else that is raised fails here
                assert decode(path, 3).shape[0] == 3


@pytest.mark.parametrize("kind", ["exif", "xmp", "exif after a large profile"])
def test_every_way_of_decoding_turns_a_jpeg_alike(kind: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 20), (200, 30, 60))
    exif = picture.getexif()
    exif[0x0112] = 6
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    options: dict[str, Any] = {"xmp": {"xmp": xmp}}.get(kind, {"exif": exif})
    if "profile" in kind:
        options["icc_profile"] = bytes(120_000)
    picture.save(tmp_path / "p.jpg", **options)
    if "profile" in kind:
        _put_exif_last(tmp_path / "p.jpg")
    assert {tuple(decode(tmp_path / "p.jpg", channels).shape[1:]) for channels in (1, 3)} == {(40, 20)}


def _put_exif_last(path: Path) -> None:
    """Move the segment with EXIF data behind the others that come before the tables."""
    content = path.read_bytes()
    start = content.index(b"\xff\xe1")
    end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
    tables = content.index(b"\xff\xdb", end)
    assert tables - end > 100_000
    path.write_bytes(content[:start] + content[end:tables] + content[start:end] + content[tables:])


def test_a_name_of_any_bytes_has_a_place_in_the_fingerprint(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    Image.new("RGB", (4, 4)).save(path)
    assert len(FileDataset("odd", (path,), torch.zeros(1, dtype=torch.int64), ("a",)).fingerprint()) == 16
