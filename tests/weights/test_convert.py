"""Weights from elsewhere: named as torchvision, timm and copied CIFAR code name them, wrapped as they wrap them."""

import argparse
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from reslab import RunError, UsageError, create_model, load_model
from reslab.cli.commands.convert import read_names
from reslab.cli.main import run
from reslab.weights.convert import convert_weights
from reslab.weights.state_dict import read_state_dict


def _shaken(name: str, **options: Any) -> nn.Module:
    """A network whose tensors are not those of the start."""
    torch.manual_seed(0)
    model = create_model(name, **options)
    with torch.no_grad():
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return model.eval()


def _save(tensors: Any, path: Path) -> Path:
    torch.save(tensors, path)
    return path


def _same_logits(path: Path, model: nn.Module, size: int = 32) -> bool:
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return torch.equal(load_model(path).model(images), model(images))


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50_v1_5"])
def test_torchvisions_files_say_depth_and_family(name: str, tmp_path: Path) -> None:
    model = _shaken(name, num_classes=7)
    done = convert_weights(
        _save(model.state_dict(), tmp_path / "w.pth"), tmp_path / "m.safetensors", source="torchvision"
    )
    assert done.spec == create_model(name, num_classes=7).spec
    assert done.num_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert _same_logits(done.path, model)
    assert load_model(done.path).card.preprocess.mean == (0.485, 0.456, 0.406)


def _as_copied_cifar_code(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("fc.", "linear.").replace("downsample", "shortcut"): value for name, value in state.items()}


def test_copied_cifar_code_pads_on_both_sides(tmp_path: Path) -> None:
    model = _shaken("cifar_resnet20", zero_pad="split")
    names = _as_copied_cifar_code(model.state_dict())
    wrapped = {
        "state_dict": OrderedDict((f"module.{name}", value) for name, value in names.items()),
        "best_prec1": 91.7,
    }
    done = convert_weights(_save(wrapped, tmp_path / "w.th"), tmp_path / "m.safetensors", source="cifar")
    assert done.spec.zero_pad == "split"
    assert _same_logits(done.path, model)


def test_projections_of_cifar_code_are_option_b(tmp_path: Path) -> None:
    model = _shaken("cifar_resnet20", shortcut="B")
    done = convert_weights(
        _save(_as_copied_cifar_code(model.state_dict()), tmp_path / "w.th"), tmp_path / "m.safetensors", source="cifar"
    )
    assert done.spec.shortcut == "B"
    assert _same_logits(done.path, model)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state, "epoch": 3},
        lambda state: {"state_dict": {f"module._orig_mod.{name}": value for name, value in state.items()}},
        lambda state: {"model_state_dict": {f"model.{name}": value for name, value in state.items()}},
        lambda state: {"n_averaged": torch.tensor(5), **{f"module.{name}": value for name, value in state.items()}},
        lambda state: {"state_dict": state, "args": argparse.Namespace(lr=0.1), "optimizer": {"state": {}}},
        lambda state: {name: value for name, value in state.items() if "num_batches" not in name},
    ],
)
def test_wrappers_are_taken_off(wrap: Any, tmp_path: Path) -> None:
    model = _shaken("cifar_resnet8", zero_pad="split")
    path = _save(wrap(dict(model.state_dict())), tmp_path / "w.pt")
    done = convert_weights(path, tmp_path / "m.safetensors", arch="cifar_resnet8", source="cifar")
    assert _same_logits(done.path, model)


def test_of_weights_and_their_average_one_must_be_named(tmp_path: Path) -> None:
    model, other = _shaken("cifar_resnet8", zero_pad="split"), create_model("cifar_resnet8")
    path = _save({"state_dict": other.state_dict(), "state_dict_ema": model.state_dict()}, tmp_path / "w.pt")
    with pytest.raises(UsageError, match="set use_ema to True for the average"):
        convert_weights(path, tmp_path / "m.safetensors", arch="cifar_resnet8", source="cifar")
    done = convert_weights(path, tmp_path / "m.safetensors", arch="cifar_resnet8", source="cifar", use_ema=True)
    assert _same_logits(done.path, model)


def test_weights_and_their_average_are_told_apart_one_level_down_too(tmp_path: Path) -> None:
    model, other = _shaken("cifar_resnet8", zero_pad="split"), create_model("cifar_resnet8")
    both = {"state_dict": other.state_dict(), "state_dict_ema": model.state_dict()}
    path = _save({"model": both}, tmp_path / "w.pt")
    options: dict[str, Any] = {"arch": "cifar_resnet8", "source": "cifar"}
    assert _same_logits(convert_weights(path, tmp_path / "ema.safetensors", use_ema=True, **options).path, model)
    assert not _same_logits(convert_weights(path, tmp_path / "own.safetensors", use_ema=False, **options).path, model)
    plain = _save({"model": other.state_dict()}, tmp_path / "plain.pt")
    with pytest.raises(UsageError, match="contains no average of the weights"):
        convert_weights(plain, tmp_path / "m.safetensors", use_ema=True, **options)


def test_two_heads_are_refused(tmp_path: Path) -> None:
    state = dict(_shaken("cifar_resnet8").state_dict())
    path = _save({**state, "linear.weight": state["fc.weight"], "linear.bias": state["fc.bias"]}, tmp_path / "w.pt")
    with pytest.raises(RunError, match=r"two tensors map to 'fc\.weight'"):
        convert_weights(path, tmp_path / "m.safetensors", arch="cifar_resnet8", source="cifar")


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    model = _shaken("resnet18", num_classes=3)
    safetensors.torch.save_file(dict(model.state_dict()), tmp_path / "w.safetensors")
    done = convert_weights(tmp_path / "w.safetensors", tmp_path / "m.safetensors", source="timm")
    assert _same_logits(done.path, model)


# --- what must be named -----------------------------------------------------------------------------------------------


def test_the_stride_of_a_bottleneck_is_never_guessed(tmp_path: Path) -> None:
    path = _save(create_model("resnet50", num_classes=3).state_dict(), tmp_path / "w.pth")
    with pytest.raises(UsageError, match="does not show where a bottleneck has its stride"):
        convert_weights(path, tmp_path / "m.safetensors", mean=(0.5,) * 3, std=(0.5,) * 3, size=224)
    assert not (tmp_path / "m.safetensors").exists()
    done = convert_weights(path, tmp_path / "m.safetensors", arch="resnet50", mean=(0.5,) * 3, std=(0.5,) * 3, size=224)
    assert done.spec.stride_on == "1x1"


def test_a_name_that_contradicts_the_source_is_refused(tmp_path: Path) -> None:
    path = _save(create_model("resnet50", num_classes=3).state_dict(), tmp_path / "w.pth")
    with pytest.raises(UsageError, match="use resnet50_v1_5"):
        convert_weights(path, tmp_path / "m.safetensors", arch="resnet50", source="torchvision")


def test_a_net_without_projections_is_never_guessed(tmp_path: Path) -> None:
    path = _save(create_model("cifar_plain20").state_dict(), tmp_path / "w.pth")
    with pytest.raises(UsageError, match="whether the network is plain or has option A"):
        convert_weights(path, tmp_path / "m.safetensors", mean=(0.5,) * 3, std=(0.5,) * 3, size=32)
    done = convert_weights(
        path, tmp_path / "m.safetensors", arch="cifar_plain20", mean=(0.5,) * 3, std=(0.5,) * 3, size=32
    )
    assert done.spec.is_plain


def test_the_preprocessing_is_never_guessed(tmp_path: Path) -> None:
    path = _save(create_model("resnet18").state_dict(), tmp_path / "w.pth")
    with pytest.raises(UsageError, match="set mean, std and size, or set source"):
        convert_weights(path, tmp_path / "m.safetensors", arch="resnet18")


def test_an_architecture_named_otherwise_than_the_shapes_have_it_is_refused(tmp_path: Path) -> None:
    path = _save(create_model("resnet18").state_dict(), tmp_path / "w.pth")
    with pytest.raises(UsageError, match=r"'resnet34' has num_blocks \(3, 4, 6, 3\), but the file has \(2, 2, 2, 2\)"):
        convert_weights(path, tmp_path / "m.safetensors", arch="resnet34", source="torchvision")


# --- what is refused --------------------------------------------------------------------------------------------------


class _Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("is_zip", [True, False])
def test_code_in_a_pickle_is_refused_and_not_executed(is_zip: bool, tmp_path: Path) -> None:
    target, path = tmp_path / "executed", tmp_path / "w.pth"
    if is_zip:
        torch.save({"state_dict": {"conv1.weight": torch.ones(1)}, "x": _Attack(target)}, path)
    else:
        path.write_bytes(pickle.dumps(_Attack(target)))
    with pytest.raises(RunError, match="Nothing in it was executed") as raised:
        read_state_dict(path)
    assert not target.exists()
    assert "weights_only" not in str(raised.value)  # torch advises to switch it off
    assert not is_zip or "names code that would have to be executed: " in str(raised.value)


def test_the_file_to_convert_is_never_written_over(tmp_path: Path) -> None:
    path = _save(create_model("resnet18", num_classes=3).state_dict(), tmp_path / "w.pth")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="choose another path"):
        convert_weights(path, path, source="torchvision")
    assert path.read_bytes() == before


def test_a_stem_of_which_the_stride_leaves_no_trace_is_said_to_be_assumed(tmp_path: Path) -> None:
    path = _save(create_model("resnet18", stem="cifar", num_classes=3).state_dict(), tmp_path / "w.pth")
    notes = convert_weights(path, tmp_path / "m.safetensors", source="torchvision").notes
    assert any(note.startswith("stem: one 3x3 convolution of stride 1, no pooling") for note in notes)
    path = _save(create_model("resnet18", num_classes=3).state_dict(), tmp_path / "w.pth")
    assert not any(
        "stem" in note for note in convert_weights(path, tmp_path / "n.safetensors", source="torchvision").notes
    )


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    state = create_model("resnet18").state_dict()
    state["conv1.weight"] = torch.ones_like(state["conv1.weight"], dtype=torch.int8)
    with pytest.raises(RunError, match=r"conv1\.weight is int8: quantised values without their scale"):
        convert_weights(_save(state, tmp_path / "w.pth"), tmp_path / "m.safetensors", source="torchvision")


def test_nothing_is_loaded_by_half(tmp_path: Path) -> None:
    state = create_model("resnet18").state_dict()
    del state["layer3.1.bn2.weight"]
    state["layer4.0.se.weight"] = torch.zeros(3)
    state["bn1.bias"] = torch.zeros(3)
    with pytest.raises(
        RunError, match=r"missing: layer3\.1\.bn2\.weight; unknown: layer4\.0\.se\.weight; bn1\.bias is"
    ):
        convert_weights(_save(state, tmp_path / "w.pth"), tmp_path / "m.safetensors", source="torchvision")
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"layer1.0.conv1.weight": torch.zeros(4, 4, 3, 3)}, "no tensor 'conv1.weight'"),
        ({"a": 3}, "contains no named tensors"),
        ([torch.zeros(3)], "contains a list"),
    ],
)
def test_files_that_are_none_are_named(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"w.pth: .*{message}"):
        convert_weights(_save(content, tmp_path / "w.pth"), tmp_path / "m.safetensors", source="torchvision")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04 cut off")
    (tmp_path / "w.safetensors").write_bytes(b"cut off")
    (tmp_path / "picture.pth").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "empty.pth").write_bytes(b"")
    messages = {
        "w.pth": "cannot be read as plain tensors",
        "w.safetensors": "is damaged or not a safetensors file",
        "picture.pth": "it is not a file of torch.save",
        "empty.pth": "it is empty or cut off",
        "missing.pth": "No such file",
    }
    for name, message in messages.items():
        with pytest.raises(RunError, match=f"{name}: .*{message}") as raised:
            read_state_dict(tmp_path / name)
        assert "weights_only" not in str(raised.value)


def test_a_model_file_is_said_to_be_one_already(tmp_path: Path) -> None:
    path = _save(create_model("resnet18", num_classes=3).state_dict(), tmp_path / "w.pth")
    done = convert_weights(path, tmp_path / "m.safetensors", source="torchvision")
    with pytest.raises(UsageError, match=r"m\.safetensors: is a model file already"):
        convert_weights(done.path, tmp_path / "again.safetensors", source="torchvision")
    assert not (tmp_path / "again.safetensors").exists()


@pytest.mark.parametrize(("groups", "width"), [(32, 4), (1, 128)])
def test_resnext_and_wide_nets_are_told_apart(groups: int, width: int, tmp_path: Path) -> None:
    state = create_model("resnet50_v1_5", num_classes=3).state_dict()
    channels = groups * width
    state["layer1.0.conv1.weight"] = torch.zeros(channels, 64, 1, 1)
    state["layer1.0.conv2.weight"] = torch.zeros(channels, width, 3, 3)
    state["layer1.0.conv3.weight"] = torch.zeros(256, channels, 1, 1)
    with pytest.raises(RunError, match="ResNeXt" if groups > 1 else "Wide ResNet"):
        convert_weights(_save(state, tmp_path / "w.pth"), tmp_path / "m.safetensors", source="torchvision")


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_says_what_matched_and_what_was_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _save(_shaken("resnet18", num_classes=3).state_dict(), tmp_path / "w.pth")
    (tmp_path / "names.txt").write_text("Äpfel\nBirnen\nKirschen\n", encoding="utf-8")
    flags = ["--source", "torchvision", "--classes", str(tmp_path / "names.txt"), "-o", str(tmp_path / "m.safetensors")]
    assert run(["convert", str(path), *flags]) == 0
    printed = capsys.readouterr().out
    assert "network: ResNet-18 (option B), 3 classes" in printed
    assert "matched: 122 tensors" in printed
    assert "assumed: images: 224 px" in printed
    assert load_model(tmp_path / "m.safetensors").card.class_names == ("Äpfel", "Birnen", "Kirschen")


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--source", "keras"], 2, "torchvision"),
        (["--source", "torchvision", "--classes", "a,b"], 2, "2 class names"),
        (["--source", "torchvision", "--mean", "a,b"], 2, "--mean is 'a,b'"),
        (["--source", "torchvision", "--arch", "resnet19"], 2, "no resnet of depth 19"),
    ],
)
def test_mistakes_on_the_command_line(
    flags: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _save(create_model("resnet18", num_classes=3).state_dict(), tmp_path / "w.pth")
    assert run(["convert", str(path), "-o", str(tmp_path / "m.safetensors"), *flags]) == code
    captured = capsys.readouterr()
    assert message in captured.err + captured.out
    assert not (tmp_path / "m.safetensors").exists()


def test_names_longer_than_a_file_name_may_be_are_names(tmp_path: Path) -> None:
    names = [f"a class with number {number}" for number in range(1000)]
    assert read_names(", ".join(names)) == names
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    assert read_names(str(tmp_path / "names.txt")) == ["one", "two"]
    with pytest.raises(UsageError, match="neither a file nor names with commas"):
        read_names(300 * "a")
    (tmp_path / "names.txt").write_bytes("\ufeffKatze\r\nHund\r\n".encode())
    assert read_names(str(tmp_path / "names.txt")) == ["Katze", "Hund"]
    (tmp_path / "names.txt").write_bytes("Bär\n".encode("latin-1"))
    with pytest.raises(RunError, match=r"names\.txt: is not UTF-8 .* at byte 1"):
        read_names(str(tmp_path / "names.txt"))


def test_another_size_keeps_the_sources_usual_share_around_the_crop(tmp_path: Path) -> None:
    path = _save(create_model("resnet18", num_classes=3).state_dict(), tmp_path / "w.pth")
    done = convert_weights(path, tmp_path / "m.safetensors", source="torchvision", size=288)
    assert load_model(done.path).card.preprocess.short_side == round(288 * 256 / 224)
    assert any("short side of 329 px" in note for note in done.notes)


def test_what_is_said_of_the_images_goes_into_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _save(create_model("resnet18", num_classes=3).state_dict(), tmp_path / "w.pth")
    said = ["--size", "160", "--short-side", "171", "--mean", "0.1,0.2,0.3", "--std", "0.4,0.5,0.6"]
    assert run(["convert", str(path), "--source", "torchvision", "-o", str(tmp_path / "m.safetensors"), *said]) == 0
    found = load_model(tmp_path / "m.safetensors").card.preprocess
    assert (found.height, found.width, found.short_side) == (160, 160, 171)
    assert (found.mean, found.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert "images:" not in capsys.readouterr().out  # nothing was assumed of them


def test_networks_of_other_blocks_under_our_names_are_refused(tmp_path: Path) -> None:
    tensors = create_model("resnet50_v1_5", num_classes=3).state_dict()
    other = {name.replace("conv2", "convs.0"): tensor for name, tensor in tensors.items()}  # as Res2Net calls them
    with pytest.raises(RunError, match=r"no tensor 'layer1\.0\.conv2\.weight'"):
        convert_weights(_save(other, tmp_path / "w.pth"), tmp_path / "m.safetensors", source="timm")
