"""Grad-CAM against CAM's closed form and a slow reference; on pictures with a pasted object it finds the object."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.analysis import grad_cam, penultimate_features, upsampled
from reslab.artifacts.model_file import load_model
from reslab.data.preprocess import Normalizer
from reslab.data.sources import open_splits
from reslab.errors import UsageError
from reslab.models import VGG, Network, ResNet, create_model
from reslab.models.folding import fold_batch_norm
from reslab.models.normalization import use_fused_norm

CPU = torch.device("cpu")
RECORDED = Path(__file__).parents[2] / "results" / "cifar-resnet20" / "0.safetensors"


def lively(name: str, **options: object) -> Network:
    """A network whose batch norms scale and shift every channel differently, in eval mode and float64."""
    torch.manual_seed(0)
    model = create_model(name, **options).double().eval()  # type: ignore[arg-type]
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.1)  # type: ignore[union-attr]
    return model


def small_vgg() -> Network:
    """VGG's stages with few channels: the real classifier would take seconds."""
    torch.manual_seed(0)
    full = create_model("vgg16", num_classes=5).spec
    model = VGG(replace(full, num_blocks=(1,) * 5, widths=(4,) * 5))
    model.classifier = nn.Sequential(
        nn.Linear(4 * 49, 16), nn.ReLU(), nn.Identity(), nn.Linear(16, 16), nn.ReLU(), nn.Identity(), nn.Linear(16, 5)
    )
    return model.double().eval()


def reference(model: Network, image: Tensor, label: int) -> Tensor:
    """Grad-CAM of one image, position by position, by hooks on the whole network."""
    kept: list[Tensor] = []
    last = model.features[-1] if isinstance(model, VGG) else model.blocks()[-1]
    handle = last.register_forward_hook(lambda module, inputs, output: kept.append(output))  # type: ignore[union-attr]
    logit = model(image[None])[0, label]
    handle.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])
    activation, gradient = kept[0][0].detach(), gradient[0]
    channels, height, width = activation.shape
    found = torch.zeros(height, width, dtype=activation.dtype)
    for k in range(channels):
        weight = sum(gradient[k, i, j] for i in range(height) for j in range(width)) / (height * width)
        found += weight * activation[k]
    return found.clamp(min=0)


NETWORKS = [
    ("cifar_resnet8", {"num_classes": 5}, 32),
    ("cifar_resnet8", {"num_classes": 5, "shortcut": "C"}, 44),
    ("cifar_plain8", {"num_classes": 5, "norm": "none"}, 32),
    ("resnet18", {"num_classes": 5}, 70),
    ("resnet50", {"num_classes": 5}, 64),
    ("vgg", {}, 224),
]


@pytest.mark.parametrize(("name", "options", "size"), NETWORKS)
def test_it_is_a_slow_reference_s_map(name: str, options: dict[str, object], size: int) -> None:
    model = small_vgg() if name == "vgg" else lively(name, **options)
    images = torch.randn(3, 3, size, size, dtype=torch.float64)
    classes = torch.tensor([4, 0, 2])
    found = grad_cam(model, images, classes)
    expected = torch.stack([reference(model, *pair) for pair in zip(images, classes.tolist(), strict=True)])
    assert expected.max() > 0
    torch.testing.assert_close(found.maps, expected, rtol=0, atol=1e-5 * expected.max().item())


def test_with_average_pooling_and_one_layer_it_is_cam() -> None:
    model = lively("cifar_resnet8", num_classes=5)
    assert isinstance(model, ResNet)
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    found = grad_cam(model, images)
    last = model.forward_features(images)["layer3"]
    answers = model(images).argmax(1)
    cam = torch.einsum("nk,nkij->nij", model.fc.weight[answers], last) / 64  # 8 x 8 positions
    assert torch.equal(found.classes, answers)
    torch.testing.assert_close(found.maps, cam.clamp(min=0).detach(), rtol=0, atol=1e-12)
    # what CAM is for: with the bias, the mean of the map before the ReLU is the logit
    torch.testing.assert_close(cam.sum((1, 2)) + model.fc.bias[answers], model(images).amax(1))


def test_float32_and_bfloat16_networks_and_folded_ones_agree_with_float64() -> None:
    model = lively("resnet18", num_classes=5)
    images = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    classes = torch.tensor([0, 1, 2])
    expected = grad_cam(model, images, classes).maps.float()
    single = model.float()
    others = {"fp32": single, "folded": fold_batch_norm(single), "bf16": fold_batch_norm(single).bfloat16()}
    use_fused_norm(single)
    for name, network in others.items():
        found = grad_cam(network, images.float(), classes).maps
        assert found.dtype == torch.float32
        tolerance = (0.1 if name == "bf16" else 1e-5) * expected.max().item()
        torch.testing.assert_close(
            found, expected, rtol=0, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("mode", [True, False])
def test_the_network_stays_as_it_is(mode: bool) -> None:
    model = create_model("cifar_resnet8", num_classes=5).train(mode)
    model.layer1.eval()  # type: ignore[union-attr]  # modes may differ from module to module
    model.fc.weight.requires_grad_(False)  # type: ignore[union-attr]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():  # the caller's own mode does not matter
        first = grad_cam(model, images)
    penultimate_features(model, [images])
    assert torch.equal(first.maps, grad_cam(model, images).maps)
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.fc.weight.requires_grad  # type: ignore[union-attr]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_class_that_does_not_exist_is_named() -> None:
    model = create_model("cifar_resnet8", num_classes=5)
    with pytest.raises(UsageError, match=r"class is 5; allowed: 0 to 4"):
        grad_cam(model, torch.randn(2, 3, 32, 32), torch.tensor([0, 5]))
    with pytest.raises(UsageError, match="pass one class for each of 2 images"):
        grad_cam(model, torch.randn(2, 3, 32, 32), torch.tensor([0]))


def test_upsampled_maps_reach_one_and_a_map_of_nothing_stays_zero() -> None:
    maps = torch.stack([torch.zeros(4, 4), torch.rand(4, 4) * 7])
    found = upsampled(maps, (16, 24))
    assert found.shape == (2, 16, 24)
    assert found[0].max() == 0
    assert found[1].max() == 1
    assert found.min() >= 0
    expected = F.interpolate(maps[1:, None], size=(16, 24), mode="bilinear")[0, 0]
    torch.testing.assert_close(found[1], expected / expected.max())


def test_features_are_what_the_last_layer_is_given() -> None:
    for model, size in ((lively("resnet18", num_classes=5), 40), (small_vgg(), 224)):
        images = torch.randn(5, 3, size, size, dtype=torch.float64)
        layer = model.classifier[-1] if isinstance(model, VGG) else model.fc
        seen: list[int] = []
        found = penultimate_features(model, images.split(2), seen.append)
        assert found.dtype == torch.float32
        assert seen == [2, 4, 5]
        torch.testing.assert_close(layer(found.double()), model(images), rtol=1e-5, atol=1e-6)
        assert penultimate_features(model, []).shape == (0, layer.in_features)


# --- a pasted object --------------------------------------------------------------------------------------------------


def patches(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Noise with an 8x8 patch of stripes, columns or checks at a random place: images, labels, corners [n, 2]."""
    place = torch.arange(8) // 2 % 2
    patterns = torch.stack([place[:, None].expand(8, 8), place[None].expand(8, 8), place[:, None] ^ place[None]])
    images = torch.randn(count, 3, 32, 32, generator=generator) / 2
    labels = torch.randint(0, 3, (count,), generator=generator)
    corners = torch.randint(0, 25, (count, 2), generator=generator)
    for image, label, (top, left) in zip(images, labels, corners.tolist(), strict=True):
        image[:, top : top + 8, left : left + 8] = patterns[label] * 4.0 - 2
    return images, labels, corners


def share_inside(heat: Tensor, corners: Tensor, side: int) -> float:
    """How many maps have their maximum in the object."""
    place = heat.flatten(1).argmax(1)
    found = torch.stack([place // heat.shape[2], place % heat.shape[2]], dim=1)
    return ((found >= corners) & (found < corners + side)).all(1).double().mean().item()


def test_the_map_finds_the_patch_that_tells_the_class() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = create_model("cifar_resnet8", num_classes=3)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    for _ in range(50):
        images, labels, _ = patches(64, generator)
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    images, labels, corners = patches(200, generator)
    found = grad_cam(model, images)
    assert (found.classes == labels).double().mean() > 0.95
    assert share_inside(upsampled(found.maps, (32, 32)), corners, 8) > 0.9  # by chance: (8 / 32)^2, 6 %


def test_a_recorded_network_finds_a_photo_pasted_on_a_grey_canvas(data_root: Path) -> None:
    loaded = load_model(RECORDED)
    test = open_splits("cifar10", str(data_root / "cifar-10-batches-bin")).part("test")
    normalize = Normalizer(replace(loaded.card.preprocess, mean_image=None), CPU)
    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 65, (60, 2), generator=generator)
    canvas = torch.full((60, 3, 96, 96), 120, dtype=torch.uint8)
    for picture, photo, (top, left) in zip(canvas, test.images, corners.tolist(), strict=False):  # type: ignore[union-attr]
        picture[:, top : top + 32, left : left + 32] = photo
    found = grad_cam(loaded.model, normalize(canvas), test.labels[:60])
    assert share_inside(upsampled(found.maps, (96, 96)), corners, 32) > 0.9  # by chance: 11 %
