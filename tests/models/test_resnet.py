"""Whole networks: sizes, names, options, and recomputed activations."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from reslab.models import ResNet, build, create_model
from reslab.spec.families import model_spec

TINY = model_spec("cifar_resnet8")


def test_stages_have_the_papers_sizes() -> None:
    features = create_model("cifar_resnet20").eval().forward_features(torch.zeros(1, 3, 32, 32))
    assert {name: tuple(f.shape[1:]) for name, f in features.items()} == {
        "stem": (16, 32, 32), "layer1": (16, 32, 32), "layer2": (32, 16, 16), "layer3": (64, 8, 8),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["resnet18", "plain18", "resnet50", "cifar_resnet8", "cifar_plain8"])
@pytest.mark.parametrize(("in_channels", "num_classes"), [(1, 2), (5, 7)])
def test_any_number_of_channels_and_classes(name: str, in_channels: int, num_classes: int) -> None:
    model = create_model(name, in_channels=in_channels, num_classes=num_classes).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, in_channels, 40, 33)).shape == (2, num_classes)


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_either_stem_goes_with_either_family(stem: str) -> None:
    for name in ("resnet18", "cifar_resnet8"):
        features = create_model(name, stem=stem).eval().forward_features(torch.zeros(1, 3, 32, 32))
        assert features["stem"].shape[-1] == (8 if stem == "imagenet" else 32)


def test_a_plain_net_is_the_residual_one_with_its_shortcuts_switched_off() -> None:
    plain, residual = create_model("cifar_plain20"), create_model("cifar_resnet20")
    assert plain.state_dict().keys() == residual.state_dict().keys()
    assert [p.shape for p in plain.parameters()] == [p.shape for p in residual.parameters()]
    plain.load_state_dict(residual.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert not torch.allclose(plain.eval()(images), residual.eval()(images))
    for block in residual.blocks():  # type: ignore[union-attr]
        block.is_plain = True  # type: ignore[assignment]
    assert torch.equal(plain(images), residual(images))


def test_twins_of_a_seed_begin_with_the_same_weights() -> None:
    states = []
    for name in ("cifar_plain56", "cifar_resnet56"):
        torch.manual_seed(3)
        states.append(create_model(name).state_dict())
    plain, residual = states
    assert plain.keys() == residual.keys()
    assert all(torch.equal(plain[name], residual[name]) for name in plain)


def test_v1_and_v1_5_share_keys_and_shapes_but_not_outputs() -> None:
    paper, torchvisions = create_model("resnet50").eval(), create_model("resnet50_v1_5").eval()
    torchvisions.load_state_dict(paper.state_dict())
    assert paper.spec.label != torchvisions.spec.label
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(paper(images), torchvisions(images))


@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
def test_without_batch_norm_every_convolution_has_a_bias(shortcut: str) -> None:
    model = create_model("cifar_resnet8", norm="none", shortcut=shortcut)
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(conv.bias is not None for conv in convolutions)
    assert not [name for name in model.state_dict() if "bn" in name or "running" in name]
    with_norm = create_model("cifar_resnet8", shortcut=shortcut)
    assert all(m.bias is None for m in with_norm.modules() if isinstance(m, torch.nn.Conv2d))


def test_no_network_has_dropout() -> None:
    for name in ("resnet18", "cifar_resnet8", "vgg16"):
        with torch.device("meta"):
            model = create_model(name)
        assert not [m for m in model.modules() if "Dropout" in type(m).__name__]


@pytest.mark.parametrize(("group_size", "is_synchronised"), [(None, False), (4, False), (None, True)])
def test_recomputed_activations_change_no_bit_of_loss_gradients_or_statistics(
    group_size: int | None, is_synchronised: bool
) -> None:
    models: list[torch.nn.Module] = []
    for is_checkpointed in (False, True):
        torch.manual_seed(0)
        model = build(TINY, checkpoint_activations=is_checkpointed, bn_group_size=group_size).train()
        # in a single process it computes what batch norm does, on a CPU too
        models.append(torch.nn.SyncBatchNorm.convert_sync_batchnorm(model) if is_synchronised else model)
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8)
    losses = [F.cross_entropy(model(images), labels) for model in models]
    for loss in losses:
        loss.backward()
    assert torch.equal(*losses)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(ours.grad, theirs.grad)  # type: ignore[arg-type]
    for name, buffer in models[0].named_buffers():
        assert torch.equal(buffer, models[1].get_buffer(name)), name


def test_zero_initialised_blocks_make_a_network_of_shortcuts() -> None:
    model = build(replace(TINY, zero_init_residual=True)).eval()
    assert isinstance(model, ResNet)
    assert all(torch.count_nonzero(block.bn2.weight) == 0 for block in model.blocks())  # type: ignore[union-attr,arg-type]


def test_vgg_says_which_size_it_takes() -> None:
    with torch.device("meta"):
        model = create_model("vgg16")
    with pytest.raises(ValueError, match="224x224 pixels, not 64x64"):
        model(torch.empty(1, 3, 64, 64, device="meta"))
    assert list(model.forward_features(torch.empty(1, 3, 224, 224, device="meta"))) == [
        f"stage{n}" for n in range(1, 6)
    ]
