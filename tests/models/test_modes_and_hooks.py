"""Eval mode for a block, and reading what modules compute: nothing of either stays behind."""

import pytest
import torch
from torch import Tensor

from reslab.models import create_model
from reslab.models.hooks import recorded_outputs
from reslab.models.modes import eval_mode


def test_every_module_gets_its_own_mode_back() -> None:
    model = create_model("cifar_resnet8").train()
    model.layer2.eval()  # type: ignore[union-attr]  # a frozen part
    before = [module.training for module in model.modules()]
    with eval_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == before
    with pytest.raises(RuntimeError), eval_mode(model):
        model(torch.zeros(1))
    assert [module.training for module in model.modules()] == before


def test_eval_mode_computes_in_the_weights_own_precision() -> None:
    model = create_model("cifar_resnet8")
    with torch.autocast("cpu", dtype=torch.bfloat16), eval_mode(model), torch.no_grad():
        assert model(torch.zeros(1, 3, 32, 32)).dtype == torch.float32


def test_inputs_and_outputs_are_recorded_in_the_order_of_execution_inside_the_block_only() -> None:
    model = create_model("cifar_resnet8").eval()
    seen: list[tuple[str, Tensor, Tensor]] = []
    modules = {"head": model.fc, "stem": model.conv1}  # type: ignore[union-attr]
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        with recorded_outputs(modules, lambda *row: seen.append(row)):
            logits = model(images)
        model(images)
    (first, given, _), (last, _, output) = seen
    assert (first, last) == ("stem", "head")
    assert given is images
    assert output is logits
