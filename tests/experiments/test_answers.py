"""The images that a network gets wrong are those that its errors count."""

from pathlib import Path

import torch

from reslab import override, recipe, train_run
from reslab.experiments.answers import wrong_images
from reslab.experiments.experiment import Bench


def test_as_many_test_images_are_wrong_as_the_run_counted(tmp_path: Path) -> None:
    changes = {
        "model": {"num_blocks": [1, 1, 1]},
        "train": {"iterations": 17, "log_every": 17},
        "warmup": {"kind": "none"},
    }
    folder = train_run(override(recipe("digits-resnet20"), changes), tmp_path / "run")
    wrong = wrong_images(folder, Bench("digits", None, torch.device("cpu")))
    result = folder.result()
    assert result is not None
    counted = result.final["test"]
    assert 0 < len(wrong) == counted.total - counted.correct
    assert list(wrong) == sorted(set(wrong))
    assert max(wrong) < counted.total
