"""The model file: everything in one file, equal bytes for equal content, foreign files refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from reslab.errors import Failure, UsageError
from reslab.modelfile import ModelCard, load_card, load_model, model_bytes, save_model
from reslab.models import create_model
from reslab.spec import PreprocessSpec

CARD = ModelCard(
    preprocess=PreprocessSpec(channels=3, height=32, width=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)),
    class_names=("Katze", "犬"),
    recipe="cifar-resnet8",
    metrics={"split": "test", "correct": 9, "total": 10},
)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cifar_resnet8", {"shortcut": "A", "zero_pad": "split"}),
        ("cifar_resnet8", {"shortcut": "C", "norm": "none"}),
        ("cifar_plain8", {"in_channels": 1}),
        ("cifar_resnet8", {"zero_init_residual": True}),
    ],
)
def test_a_model_comes_back_whole(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=2, **options)
    model(torch.randn(4, model.spec.in_channels, 32, 32))  # moves the running statistics
    model = model.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    save_model(tmp_path / "model.safetensors", model, CARD)
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.spec == model.spec
    assert loaded.card == CARD
    images = torch.randn(2, model.spec.in_channels, 32, 32)
    torch.testing.assert_close(loaded.model(images), model(images))
    assert not loaded.model.training


def test_equal_models_make_equal_bytes() -> None:
    torch.manual_seed(0)
    model = create_model("cifar_resnet8", num_classes=2)
    assert model_bytes(model, CARD) == model_bytes(model, CARD)


def test_a_temperature_comes_back_and_a_file_without_one_has_none(tmp_path: Path) -> None:
    model = create_model("cifar_resnet8", num_classes=2)
    save_model(tmp_path / "cold.safetensors", model, replace(CARD, temperature=1.7))
    save_model(tmp_path / "plain.safetensors", model, CARD)
    assert load_model(tmp_path / "cold.safetensors").card.temperature == 1.7
    assert load_card(tmp_path / "cold.safetensors") == replace(CARD, temperature=1.7)
    assert load_model(tmp_path / "plain.safetensors").card.temperature is None
    assert b"temperature" not in (tmp_path / "plain.safetensors").read_bytes()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_a_positive_number(temperature: float) -> None:
    with pytest.raises(UsageError, match="it divides logits: a positive number"):
        replace(CARD, temperature=temperature)


def test_names_of_tensors_carry_no_wrapper_prefix() -> None:
    model = create_model("cifar_resnet8", num_classes=2)
    for block in model.blocks():  # type: ignore[union-attr]
        block.compile(dynamic=False)
    names = safetensors.torch.load(model_bytes(model, CARD)).keys()
    assert not [name for name in names if "module." in name or "_orig_mod" in name]
    assert set(names) == set(create_model("cifar_resnet8", num_classes=2).state_dict())


def test_foreign_and_damaged_files_are_named(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2)}, foreign)
    with pytest.raises(Failure, match=r"foreign\.safetensors: holds tensors but says nothing"):
        load_model(foreign)
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(Failure, match=r"notes\.txt: cannot be read as a model file"):
        load_model(text)
    with pytest.raises(Failure, match=r"absent\.safetensors"):
        load_model(tmp_path / "absent.safetensors")
    whole = model_bytes(create_model("cifar_resnet8", num_classes=2), CARD)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Failure, match=r"cut\.safetensors"):
        load_model(cut)
