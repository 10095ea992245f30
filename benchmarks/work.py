"""What each contestant does, in a process of its own: `python -m benchmarks.work NAME`, driven by `contest`."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import reslab
from reslab import PreprocessSpec, create_model, override, recipe
from reslab.artifacts.model_file import ModelCard, load_model, save_model
from reslab.data.draws import SAMPLE, permutation
from reslab.data.images.photos import centre_views
from reslab.data.preprocess import Normalizer
from reslab.data.sources import open_splits
from reslab.data.stream import Batch
from reslab.engines.inference import onnx_bytes
from reslab.models.resnet import ResNet
from reslab.runs.context import RunContext, context_for_timing
from reslab.runs.input_benchmark import FixedStream
from reslab.runs.train import make_trainer
from reslab.system.memory import keep_freed_memory
from reslab.system.paths import cache_folder
from reslab.train import Trainer

from . import peers

PHOTOS = {"min_short_side": 128, "max_short_side": 160, "crop_size": 112}
PHOTO_BATCH, LARGE_BATCH, CIFAR_BATCH, INFERENCE_BATCH = 64, 32, 128, 16


@dataclass(frozen=True, slots=True)
class Work:
    """Work to be timed.

    Attributes:
        step: One training step, or whatever is counted.
        images: How many images a step takes.
        facts: What the tables should say about it.
    """

    step: Callable[[], object]
    images: int
    facts: dict[str, Any]


def photos_folder() -> Path:
    return Path(os.environ["RESLAB_DATA"]) / "imagenette-128"


def _peer(
    model: torch.nn.Module, batch: Callable[[], tuple[torch.Tensor, torch.Tensor]], images: int, **flags: Any
) -> Work:
    step = peers.training_step(model, **flags)
    return Work(lambda: step(*batch()), images, {})


def _ours(changes: dict[str, Any], name: str) -> tuple[RunContext, Trainer]:
    keep_freed_memory()
    config = override(recipe(name), changes)
    context = context_for_timing(config)
    return context, make_trainer(context)


def _trainer_work(context: RunContext, trainer: Trainer) -> Work:
    engine = {"engine": context.engine.label, "reason": context.engine.reason, "rates": context.engine.rates}
    return Work(trainer.train_step, context.config.train.batch_size, engine)


def cifar_public() -> Work:
    batch = peers.endless(peers.CifarPil(), CIFAR_BATCH, workers=4)
    flags = {"lr": 0.1, "weight_decay": 1e-4, "bf16": False, "channels_last": False}
    return _peer(create_model("cifar_resnet20"), batch, CIFAR_BATCH, **flags)


def cifar_modern() -> Work:
    flags = {"lr": 0.1, "weight_decay": 1e-4, "bf16": True, "channels_last": True}
    return _peer(create_model("cifar_resnet20"), peers.CifarInMemory(CIFAR_BATCH), CIFAR_BATCH, **flags)


def cifar_compiled() -> Work:
    flags = {"lr": 0.1, "weight_decay": 1e-4, "bf16": True, "channels_last": True}
    model = create_model("cifar_resnet20").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _peer(torch.compile(model), peers.CifarInMemory(CIFAR_BATCH), CIFAR_BATCH, **flags)  # type: ignore[arg-type]


def cifar_reslab() -> Work:
    return _trainer_work(*_ours({"evaluation": {"monitor": "none"}}, "cifar-resnet20"))


def photos_peer() -> Work:
    batch = peers.endless(peers.PhotosPil(photos_folder(), **PHOTOS), PHOTO_BATCH, workers=2)
    flags = {"lr": 0.1, "weight_decay": 1e-4, "bf16": True, "channels_last": True}
    return _peer(create_model("resnet18", num_classes=10), batch, PHOTO_BATCH, **flags)


def photos_reslab() -> Work:
    changes = {
        "data": {"path": str(photos_folder()), "kind": "folder", "augment": {**PHOTOS, "color_std": 0.0}},
        "train": {"batch_size": PHOTO_BATCH},
        "evaluation": {"monitor": "none"},
        "schedule": {"kind": "constant"},
    }
    return _trainer_work(*_ours(changes, "imagenet-resnet18"))


def _noise(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, 3, 224, 224), torch.arange(count) % 10


def _large_peer(**flags: bool) -> Work:
    images, labels = _noise(LARGE_BATCH)
    model = create_model("resnet50_v1_5", num_classes=10)
    return _peer(model, lambda: (images, labels), LARGE_BATCH, lr=0.1, weight_decay=1e-4, **flags)


def large_reference() -> Work:
    return _large_peer(bf16=False, channels_last=False)


def large_timm() -> Work:
    return _large_peer(bf16=True, channels_last=True)


def large_reslab() -> Work:
    changes = {
        "data": {"path": str(photos_folder()), "kind": "folder"},
        "model": {"stride_on": "3x3"},
        "train": {"batch_size": LARGE_BATCH},
        "evaluation": {"monitor": "none"},
        "schedule": {"kind": "constant"},
    }
    context, trainer = _ours(changes, "imagenet-resnet50")
    trainer.stream.close()
    images, labels = _noise(LARGE_BATCH)
    trainer.stream = FixedStream(Batch(images, labels))
    return _trainer_work(context, trainer)


# --- inference --------------------------------------------------------------------------------------------------------


def model_file() -> Path:
    """Return the model file of a ResNet-50 that tells photos apart, made once in a minute or two.

    Its features are as initialised, with batch norms that know real photos; its last layer is fitted to 512 photos by
    ridge regression. With an unfitted layer every answer would be a tie, and rounding would turn it.
    """
    path = cache_folder() / "benchmarks" / "resnet50-fitted.safetensors"
    if path.exists():
        return path
    torch.manual_seed(0)
    spec = PreprocessSpec(channels=3, height=224, width=224, short_side=256, mean=peers.PHOTO_MEAN, std=peers.PHOTO_STD)
    images, labels, names = photo_views(spec, 512, skip=4 * INFERENCE_BATCH)
    model = create_model("resnet50_v1_5", num_classes=len(names))
    assert isinstance(model, ResNet)
    with torch.no_grad():
        for part in images[:128].split(32):
            model.train()(part)
        features = [model.eval().forward_features(part)["layer4"].mean((2, 3)) for part in images.split(32)]
        model.fc.weight.copy_(_ridge(torch.cat(features), labels))
        model.fc.bias.zero_()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, model, ModelCard(preprocess=spec, class_names=names, recipe="benchmark"))
    return path


def _ridge(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return weights [classes, dimensions] that fit one-hot labels, by the dual form of ridge regression."""
    x = features.double()
    targets = torch.nn.functional.one_hot(labels).double()
    gram = x @ x.T
    penalty = 0.01 * gram.diagonal().mean() * torch.eye(len(x), dtype=torch.float64)
    return (x.T @ torch.linalg.solve(gram + penalty, targets)).T.float()


def photo_views(
    spec: PreprocessSpec, count: int, *, skip: int = 0
) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """Return normalised centre views of photos, float32 [count, 3, 224, 224], their labels, and the classes' names."""
    dataset = open_splits("folder", str(photos_folder())).train
    chosen = permutation(0, SAMPLE, 0, len(dataset))[skip : skip + count]
    pairs = list(centre_views(dataset, chosen, spec, 32))  # type: ignore[arg-type]
    images = Normalizer(spec, torch.device("cpu"))(torch.cat([images for _, images in pairs]))
    return images, dataset.labels[torch.cat([indices for indices, _ in pairs])], dataset.class_names


def _answers(run: Callable[[torch.Tensor], torch.Tensor]) -> Work:
    """Return the work of `run`, from images [16, 3, 224, 224] to logits, with its agreement with fp32 on photos."""
    loaded = load_model(model_file())
    images, _, _ = photo_views(loaded.card.preprocess, 4 * INFERENCE_BATCH)
    with torch.inference_mode():
        expected = torch.cat([loaded.model(part).argmax(1) for part in images.split(INFERENCE_BATCH)])
    found = torch.cat([torch.as_tensor(run(part)).argmax(1) for part in images.split(INFERENCE_BATCH)])
    example = images[:INFERENCE_BATCH].contiguous()
    return Work(lambda: run(example), INFERENCE_BATCH, {"agreement": (found == expected).double().mean().item()})


def inference_eager() -> Work:
    model = load_model(model_file()).model
    return _answers(torch.inference_mode()(model.forward))


def inference_compiled() -> Work:
    model = load_model(model_file()).model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    compiled = torch.compile(model)

    @torch.inference_mode()
    def run(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return compiled(images.contiguous(memory_format=torch.channels_last)).float()

    return _answers(run)


def inference_onnxruntime() -> Work:
    import onnxruntime

    loaded = load_model(model_file())
    content = onnx_bytes(loaded.model, torch.zeros(1, 3, 224, 224))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return _answers(lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0]))


def inference_openvino() -> Work:
    import openvino

    core = openvino.Core()
    loaded = load_model(model_file())
    compiled = core.compile_model(core.read_model(onnx_bytes(loaded.model, torch.zeros(1, 3, 224, 224))), "CPU")
    return _answers(lambda images: torch.from_numpy(compiled(images.numpy())[0].copy()))


def inference_reslab() -> Work:
    card = load_model(model_file()).card
    images, _, _ = photo_views(card.preprocess, 4 * INFERENCE_BATCH)
    predictor = reslab.load(model_file(), engine="auto", images=images, batch_size=INFERENCE_BATCH)
    work = _answers(predictor)
    return Work(work.step, work.images, {**work.facts, "engine": predictor.engine, "rates": predictor.rates})


WORKS = {
    function.__name__: function
    for function in (
        cifar_public, cifar_modern, cifar_compiled, cifar_reslab, photos_peer, photos_reslab,
        large_reference, large_timm, large_reslab,
        inference_eager, inference_compiled, inference_onnxruntime, inference_openvino, inference_reslab,
    )
}  # fmt: skip


def main(name: str) -> None:
    """Build the work, say its facts, then make one turn for every line of standard input (its seconds)."""
    torch.manual_seed(0)
    answers = os.fdopen(os.dup(1), "w")  # whatever prints to standard output must not mix with the answers
    os.dup2(2, 1)
    work = WORKS[name]()

    def say(values: dict[str, Any]) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    say(work.facts)
    for line in sys.stdin:
        start, steps = time.perf_counter(), 0
        while steps == 0 or time.perf_counter() - start < float(line):
            work.step()
            steps += 1
        say({"images_per_second": steps * work.images / (time.perf_counter() - start)})


if __name__ == "__main__":
    main(sys.argv[1])
