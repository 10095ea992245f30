"""The input's stages: measured alone and together, and the one that is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reslab import override, recipe
from reslab.cli.main import run
from reslab.data.stream import Batch
from reslab.runs.context import context_for_timing
from reslab.runs.input_benchmark import FixedStream, _bottleneck, bench_input


def test_images_in_memory_have_two_stages() -> None:
    found = bench_input(context_for_timing(recipe("digits-resnet20")), seconds=0.1)
    assert set(found.rates) == {"augment", "model"}
    assert found.bottleneck in ("model", "cores")
    assert 0 <= found.waited < 1
    assert found.together > 0


def test_files_are_read_and_decoded_alone_too_and_the_model_sees_pictures_of_full_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []

    def fixed(batch: Batch) -> FixedStream:
        shown.append(tuple(batch.images.shape[-2:]))
        return FixedStream(batch)

    monkeypatch.setattr("reslab.runs.input_benchmark.FixedStream", fixed)
    generator = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2)):
        for name in ("cat", "dog"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    augment = {"min_short_side": 34, "max_short_side": 40, "crop_size": 32}
    changes: dict[str, Any] = {
        "data": {"path": str(tmp_path), "augment": augment, "initial_size": 16, "mean": "channel"},
        "train": {"batch_size": 8, "iterations": 10},
        "compute": {"device": "cpu"},
    }
    config = override(recipe("imagenet-resnet18"), changes)
    found = bench_input(context_for_timing(config), seconds=0.1)
    assert set(found.rates) == {"disk", "decode", "augment", "model"}
    assert all(rate > 0 for rate in found.rates.values())
    assert shown == [(32, 32)]  # as together, and not as small as at first


@pytest.mark.parametrize(
    ("rates", "together", "expected"),
    [
        ({"disk": 9.0, "decode": 5.0, "augment": 4.0, "model": 6.0}, 4.0, "augment"),
        ({"disk": 9.0, "decode": 5.0, "augment": 4.0, "model": 3.0}, 2.9, "model"),
        ({"disk": 9.0, "decode": 5.0, "augment": 4.0, "model": 3.0}, 2.0, "cores"),
        ({"disk": 1.0, "decode": 5.0, "augment": 4.0, "model": 3.0}, 1.0, "disk"),
    ],
)
def test_the_slowest_stage_is_named_or_the_cores_that_two_share(
    rates: dict[str, float], together: float, expected: str
) -> None:
    assert _bottleneck(rates, together) == expected


def test_the_command_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "input", "digits-resnet20", "--compute.precision", "fp32", "--seconds", "0.1"]) == 0
    text = capsys.readouterr().out
    assert "bottleneck: " in text
    assert "What to do: " in text
    assert run(["bench", "input", "digits-resnet2"]) == 2


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf"])
def test_no_time_to_measure_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "input", "digits-resnet20", "--seconds", seconds]) == 2
    assert f"--seconds is {seconds}; allowed: a time above 0" in capsys.readouterr().err
