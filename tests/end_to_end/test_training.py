"""Whole runs of every kind, short: photos by the paper's ImageNet recipe, CIFAR-10, options that change the loop."""

import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reslab import RunConfig, RunError, UsageError, load_model, override, recipe, train_run
from reslab.artifacts.documents import Counts, Session
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.main import run
from reslab.config import from_dict
from reslab.data import Dataset
from reslab.evaluation import Evaluation, evaluate
from reslab.models import Network
from reslab.models.kernels.compiler import compiler
from reslab.runs.context import RunContext

TINY: dict[str, Any] = {
    "train": {"iterations": 4, "batch_size": 8, "log_every": 2, "checkpoint_every": 2},
    "evaluation": {"every": 2},
}
SMALL_CROPS = {"min_short_side": 36, "max_short_side": 48, "crop_size": 32}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that differ in colour, 12 + 6 photos of many sizes."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 6)):
        for name, channel in (("blue", 2), ("red", 0)):
            (folder / part / name).mkdir(parents=True)
            for number in range(count // 2):
                pixels = generator.integers(0, 120, (40 + 5 * number, 60, 3), dtype=np.uint8)
                pixels[..., channel] += 120
                Image.fromarray(pixels).save(folder / part / name / f"{number}.jpg")
    return folder


def _digits(*changes: dict[str, Any]) -> RunConfig:
    return override(recipe("digits-resnet20"), TINY, *changes)


def _imagenet(name: str, photos: Path, changes: dict[str, Any] | None = None) -> RunConfig:
    data = {"path": str(photos), "augment": SMALL_CROPS}
    network = {"widths": [8, 16, 32, 64]}  # an eighth of the paper's
    settings = {"data": data, "model": network, "optim": {"lr": 0.01}}
    return override(recipe(name), TINY, settings, changes or {})


@pytest.mark.parametrize("name", ["imagenet-plain18", "imagenet-resnet18", "imagenet-resnet50"])
def test_the_papers_imagenet_recipes_train_on_any_folder(name: str, photos: Path, tmp_path: Path) -> None:
    folder = train_run(_imagenet(name, photos), tmp_path / "run")
    result = folder.result()
    assert result is not None
    assert from_dict(folder.config()).model.num_classes == 2
    assert (result.reported_split, result.final["validation"].total) == ("validation", 6)
    assert "centre crop 32x32 of short side 37" in result.protocol
    assert run(["evaluate", str(folder.path), "--split", "validation"]) == 0
    assert run(["evaluate", str(folder.path)]) == 1  # there is no test part


def test_a_photo_run_is_gone_on_with_to_the_same_bits(photos: Path, tmp_path: Path) -> None:
    whole = train_run(_imagenet("imagenet-resnet18", photos), tmp_path / "whole")
    part = RunFolder(shutil.copytree(whole.path, tmp_path / "part"))
    for name in ("result.json", "model.safetensors", "checkpoints/step-00000004/state.json"):
        (part.path / name).unlink()
    train_run(_imagenet("imagenet-resnet18", photos), part.path, resume=True)
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (part.path / name).read_bytes() == (whole.path / name).read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train": {"ema_decay": 0.5}},
        {"evaluation": {"select": "best"}},
        {"evaluation": {"every": 3}},
        {"batch_norm": {"reestimate_batches": 2}},
    ],
    ids=str,
)
def test_what_training_evaluated_last_is_not_evaluated_again(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[Dataset] = []

    evaluate_part = RunContext.evaluate

    def counting(context: RunContext, model: Network, dataset: Dataset) -> Evaluation:
        evaluated.append(dataset)
        return evaluate_part(context, model, dataset)

    monkeypatch.setattr(RunContext, "evaluate", counting)
    folder = train_run(_digits(changes, {"seed": 1}), tmp_path / "run")
    result = folder.result()
    assert result is not None
    validation = evaluated[0]
    has_other_weights = result.selected_step < 4 or "batch_norm" in changes
    assert sum(one is validation for one in evaluated) == (3 if has_other_weights else 2)
    saved = load_model(folder.model_path)
    again = evaluate(saved.model, validation, saved.card.preprocess)
    assert asdict(result.final["validation"]) == pytest.approx(asdict(Counts.of(again)), rel=1e-6)


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler here, so that there is but one engine")
def test_a_resume_computes_as_the_run_began_and_says_what_is_not_as_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = _digits()
    folder = train_run(config, tmp_path / "run")
    began = folder.environment()
    assert began.sessions[-1].fused_norm

    def resume_after(session: Session) -> Session:
        """Cut the run, say that its start was otherwise, go on with it; return what the new start says of itself."""
        for name in ("result.json", "model.safetensors", "checkpoints/step-00000004/state.json"):
            (folder.path / name).unlink()
        folder.write_environment(replace(began, sessions=(session,)))
        caplog.clear()
        train_run(config, folder.path, resume=True)
        return folder.environment().sessions[-1]

    first = began.sessions[-1]
    assert not resume_after(replace(first, fused_norm=False)).fused_norm
    assert "changed since the last session" not in caplog.text
    assert resume_after(replace(first, machine=replace(first.machine, threads=99))).fused_norm
    assert "changed since the last session: threads. The run continues, but not bit for bit." in caplog.text


@pytest.mark.slow
def test_imagenette_photos_train_and_every_one_is_judged_once(imagenette: Path, tmp_path: Path) -> None:
    folder = train_run(_imagenet("imagenet-resnet18", imagenette, {"evaluation": {"every": 4}}), tmp_path / "run")
    result = folder.result()
    assert result is not None
    assert result.final["validation"].total == 3925
    assert folder.environment().data.sizes == {"train": 9469, "validation": 3925}


def test_the_best_checkpoint_by_validation_is_the_result_when_asked_for(tmp_path: Path) -> None:
    changes = {
        "train": {"iterations": 12, "ema_decay": 0.5},
        "evaluation": {"select": "best"},
        "optim": {"lr": 0.2},
    }
    folder = train_run(_digits(changes), tmp_path / "run")
    result = folder.result()
    assert result is not None
    errors = {row.step: row.error for row in folder.rows("validation")}
    assert errors[result.selected_step] == min(errors.values())
    assert result.final["validation"].error == errors[result.selected_step]
    assert f"step {result.selected_step}" in result.selection


def test_cifar_learns_within_a_few_steps_and_the_record_says_how(data_root: Path, tmp_path: Path) -> None:
    assert data_root.is_dir()
    changes = {
        "train": {"iterations": 16, "log_every": 4},
        "evaluation": {"every": 16, "final_training_error": False},
        "model": {"num_blocks": [1, 1, 1], "widths": [8, 16, 32]},  # 10,000 images are evaluated
    }
    folder = train_run(override(recipe("cifar-resnet20"), changes), tmp_path / "run")
    rows = folder.train_rows()
    assert rows[-1].loss < rows[0].loss
    result = folder.result()
    assert result is not None
    assert (result.monitor, result.selection, result.final["test"].total) == (
        "test",
        "none: the last weights",
        10_000,
    )


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"batch_norm": {"sync": True}, "compute": {"device": "cpu"}},
            RunError,
            "synchronised batch norm is CUDA only",
        ),
        (
            {"evaluation": {"monitor": "test"}, "data": {"augment": {"kind": "scale_crop"}}},
            UsageError,
            "digits needs 'none' or 'pad_crop'",
        ),
        (
            {"data": {"augment": {"kind": "pad_crop", "padding": 8, "fill": "reflect"}}},
            UsageError,
            "padding is 8, but for the images of digits, 8 pixels wide, 'reflect' can pad at most 7",
        ),
        (
            {
                "train": {"batch_size": 3},
                "batch_norm": {"group_size": 2},
                "data": {"initial_size": 8},
                "model": {"stem": "imagenet"},
            },
            UsageError,
            "So a batch norm sees a single image",
        ),
        (
            {"model": {"family": "vgg", "block": "conv", "shortcut": "none", "stem": "none", "norm": "none"}},
            UsageError,
            "VGG takes images of 224x224 pixels, not 8x8",
        ),
    ],
)
def test_what_cannot_be_built_is_said_and_leaves_nothing(
    changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        train_run(override(recipe("digits-resnet20"), changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="torch sees no such device"):
        train_run(override(recipe("digits-resnet20"), {"compute": {"device": "cuda"}}), tmp_path / "run")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler warns about its own doings
def test_compiled_blocks_train_as_eager_ones_do(tmp_path: Path) -> None:
    rows = {}
    for choice in ("off", "on"):
        compute = {"compile": choice, "precision": "fp32"}
        config = _digits({"train": {"iterations": 6}, "compute": compute, "optim": {"lr": 0.005}})
        folder = train_run(config, tmp_path / choice)
        rows[choice] = folder.rows("train")
        assert RunFolder.open(folder.path).environment().sessions[0].is_compiled is (choice == "on")
    for ours, theirs in zip(rows["on"], rows["off"], strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-3)


def test_a_run_that_another_process_trains_is_left_alone(tmp_path: Path) -> None:
    config = _digits()
    folder = train_run(config, tmp_path / "run")
    (folder.path / "result.json").unlink()
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, reslab.artifacts.run_folder as r; from pathlib import Path\n"
         "with r.RunFolder(Path(sys.argv[1])).locked(): print('locked', flush=True); sys.stdin.read()",
         str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdin is not None
    with holder:
        holder.stdout.readline()
        with pytest.raises(RunError, match="is being trained by another process"):
            train_run(config, folder.path, resume=True)
        holder.stdin.close()
    assert train_run(config, folder.path, resume=True).result() is not None
