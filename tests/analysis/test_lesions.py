"""Networks without one block, against a forward pass written by hand and against branches set to zero."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab import create_model
from reslab.analysis.lesions import removable_blocks, without_block
from reslab.errors import UsageError
from reslab.models.folding import fold_batch_norm


def _trained(name: str, **options: Any) -> Any:
    """A network whose batch norms are not those of a new one."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=4, **options)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)
    return model.eval()


def _by_hand(model: Any, images: Tensor, left_out: str) -> Tensor:
    """Run a network block by block, and skip one."""
    x = F.relu(model.bn1(model.conv1(images)))
    for stage in ("layer1", "layer2", "layer3"):
        for number, block in enumerate(getattr(model, stage)):
            x = x if f"{stage}.{number}" == left_out else block(x)
    return model.fc(x.mean((2, 3)))


@pytest.mark.parametrize("name", ["cifar_plain14", "cifar_resnet14"])
def test_every_block_that_keeps_the_shape_is_skipped_and_the_network_stays(name: str) -> None:
    model, images = _trained(name), torch.randn(3, 3, 16, 16)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    logits = model(images)
    assert removable_blocks(model) == ("layer1.0", "layer1.1", "layer2.1", "layer3.1")
    for block in removable_blocks(model):
        lesioned = without_block(model, block)
        assert torch.equal(lesioned(images), _by_hand(model, images, block))
        assert not torch.allclose(lesioned(images), logits)
        torch.testing.assert_close(fold_batch_norm(lesioned)(images), lesioned(images), rtol=1e-4, atol=1e-5)
    assert torch.equal(model(images), logits)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_residual_block_keeps_its_identity_alone() -> None:
    model, images = _trained("cifar_resnet14"), torch.randn(3, 3, 16, 16)
    lesioned = without_block(model, "layer2.1")
    last = model.layer2[1].bn2
    nn.init.zeros_(last.weight)  # F(x) = 0
    nn.init.zeros_(last.bias)
    assert torch.equal(lesioned(images), model(images))


def test_a_second_block_can_be_removed_after_the_first() -> None:
    model, images = _trained("cifar_resnet14"), torch.randn(3, 3, 16, 16)
    once = without_block(model, "layer1.0")
    assert removable_blocks(once) == ("layer1.1", "layer2.1", "layer3.1")
    twice = without_block(once, "layer3.1")
    assert torch.equal(twice(images), _by_hand(once, images, "layer3.1"))


def test_blocks_that_change_the_shape_or_project_stay() -> None:
    model = _trained("cifar_plain8")
    assert removable_blocks(model) == ("layer1.0",)
    with pytest.raises(UsageError, match=r"block is 'layer2.0'"):
        without_block(model, "layer2.0")
    assert removable_blocks(_trained("cifar_resnet8", shortcut="C")) == ()
    with torch.device("meta"):
        bottlenecks, vgg = create_model("resnet50"), create_model("vgg16")
    assert "layer1.0" not in removable_blocks(bottlenecks)  # 64 channels to 256
    with pytest.raises(UsageError, match="has no blocks to remove"):
        removable_blocks(vgg)
