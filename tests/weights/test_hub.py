"""Names on the hub, with a folder in the hub's place: no test here has a network."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from reslab import RunError, UsageError, create_model, load_model
from reslab.artifacts.run_folder import RunFolder
from reslab.cli.main import run
from reslab.config import from_dict
from reslab.weights import hub

NAME = "hf-hub:timm/resnet18.a1_in1k"
# as timm's save_config_for_hf writes it
CONFIG: dict[str, Any] = {
    "architecture": "resnet18",
    "num_classes": 3,
    "num_features": 512,
    "pretrained_cfg": {
        "tag": "a1_in1k", "custom_load": False, "input_size": [3, 224, 224], "test_input_size": [3, 288, 288],
        "fixed_input_size": False, "interpolation": "bicubic", "crop_pct": 0.95, "test_crop_pct": 1.0,
        "crop_mode": "center", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "num_classes": 3, "pool_size": [7, 7],
        "first_conv": "conv1", "classifier": "fc",
    },
}  # fmt: skip


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that stands for the repository of every name, and a cache of its own."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def fetch(name: hub.HubName, file: str) -> Path | None:
        assert file in ("config.json", "model.safetensors", "pytorch_model.bin")
        return folder / file if (folder / file).exists() else None

    monkeypatch.setattr(hub, "_fetcher", lambda: fetch)
    return folder


def _publish(folder: Path, name: str = "resnet18", *, file: str = "model.safetensors", **changes: Any) -> nn.Module:
    """Put a network and its config.json into the repository; `changes` go into config.json."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=3).eval()
    if file.endswith("safetensors"):
        safetensors.torch.save_file(model.state_dict(), folder / file)
    else:
        torch.save(model.state_dict(), folder / file)
    config = {**CONFIG, "architecture": name.removesuffix("_v1_5"), **changes}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return model


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_name_gives_a_model_file_that_says_what_config_json_said(file: str, repository: Path, tmp_path: Path) -> None:
    model = _publish(repository, file=file, label_names=["n1", "n2", "n3"])
    done = hub.convert_from_hub(NAME, tmp_path / "m.safetensors")
    loaded = load_model(done.path)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.model(images), model(images))
    inputs = loaded.card.preprocess
    assert (inputs.mean, inputs.std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    assert (inputs.height, inputs.width, inputs.short_side) == (224, 224, 235)  # timm: floor(224 / 0.95)
    assert loaded.card.class_names == ("n1", "n2", "n3")
    assert loaded.card.recipe == f"converted from {NAME}"
    assert done.notes == ("images: timm resizes with bicubic interpolation, reslab with bilinear.",)


def test_timms_bottlenecks_have_their_stride_on_the_3x3(repository: Path, tmp_path: Path) -> None:
    _publish(repository, "resnet50_v1_5")
    assert hub.convert_from_hub(NAME, tmp_path / "m.safetensors").spec.stride_on == "3x3"


def test_class_names_may_be_a_mapping_from_the_outputs_number(repository: Path, tmp_path: Path) -> None:
    _publish(repository, label_names={"2": "c", "10": "d", "0": "a"})
    hub.convert_from_hub(NAME, tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m.safetensors").card.class_names == ("a", "c", "d")


def _inputs(**changes: Any) -> dict[str, Any]:
    return {"pretrained_cfg": {**CONFIG["pretrained_cfg"], **changes}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnetv2_50"}, "architecture 'resnetv2_50'; allowed: timm's resnet18, .*Did you mean"),
        ({"architecture": "resnet50d"}, "architecture 'resnet50d'"),
        ({"architecture": None}, "architecture None"),
        ({"model_args": {"act_layer": "silu"}}, "sets act_layer to 'silu'; our networks have 'relu'"),
        ({"model_args": {"stem_type": "deep"}}, "sets stem_type to 'deep'"),
        ({"model_args": {"aa_layer": "blurpool"}}, "sets aa_layer to 'blurpool'; our networks have no such setting"),
        ({"model_args": {"block_args": {"attn_layer": "se"}}}, "sets block_args"),
        ({"global_pool": "catavgmax"}, "sets global_pool to 'catavgmax'; our networks have 'avg'"),
        (_inputs(first_conv="conv1.0"), "sets first_conv to 'conv1.0'; allowed: 'conv1'"),
        (_inputs(classifier="head.fc"), "sets classifier to 'head.fc'"),
        (_inputs(crop_mode="border"), "sets crop_mode to 'border'"),
        (_inputs(label_offset=1), "sets label_offset to 1"),
        (_inputs(input_size=[3, 224, 192]), r"input_size \(3, 224, 192\)"),
        (_inputs(input_size=224), "has an unexpected value"),
        (_inputs(mean=0.5), "has an unexpected value"),
        (_inputs(crop_pct=0), "has an unexpected value"),
        ({"architecture": ["resnet18"]}, "has an unexpected value"),
    ],
)
def test_what_our_networks_cannot_be_is_refused_by_name(
    changes: dict[str, Any], message: str, repository: Path, tmp_path: Path
) -> None:
    _publish(repository, **changes)
    with pytest.raises(RunError, match=f"{NAME}: config.json .*{message}"):
        hub.convert_from_hub(NAME, tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def test_the_revision_of_a_name_is_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    asked: list[tuple[str, str, str | None]] = []

    def download(repository: str, file: str, *, revision: str | None = None) -> str:
        asked.append((repository, file, revision))
        return f"/cache/{file}"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    for name in (NAME, f"{NAME}@v1.0"):
        assert hub._download(hub.parse_name(name)) == (Path("/cache/config.json"), Path("/cache/model.safetensors"))
    assert [revision for _, _, revision in asked] == [None, None, "v1.0", "v1.0"]
    assert {(repository, file) for repository, file, _ in asked} == {
        ("timm/resnet18.a1_in1k", "config.json"), ("timm/resnet18.a1_in1k", "model.safetensors"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("RevisionNotFoundError", "has no revision 'v9'"),
        ("RepositoryNotFoundError", "the repository does not exist, or you have no access to it"),
        ("EntryNotFoundError", "has no config.json, which would describe the network"),
        ("LocalEntryNotFoundError", "cannot be downloaded and is not in the cache. Check the network"),
    ],
)
def test_what_the_hub_refuses_is_said_with_the_name(
    error: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = pytest.importorskip("huggingface_hub.errors")
    kind = getattr(errors, error)

    def refuse(*_: object, **__: object) -> str:
        raise kind.__new__(kind)  # its own making wants an answer of the hub

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(RunError) as raised:
        hub.convert_from_hub(f"{NAME}@v9", tmp_path / "m.safetensors")
    assert str(raised.value).startswith(f"{NAME}@v9: ")
    assert message in str(raised.value)


def test_settings_that_change_no_trained_network_are_no_obstacle() -> None:
    arguments = {"drop_path_rate": 0.05, "zero_init_last": False, "act_layer": "relu", "num_classes": 3}
    assert hub.read_config({**CONFIG, "model_args": None, "pretrained_cfg": None}).arch == "resnet18"
    found = hub.read_config({**CONFIG, "model_args": arguments, "global_pool": "avg", **_inputs(crop_pct=None)})
    assert (found.arch, found.short_side) == ("resnet18", 256)


def test_weights_of_another_depth_than_config_json_says_are_refused(repository: Path, tmp_path: Path) -> None:
    _publish(repository, "resnet18", architecture="resnet34")
    with pytest.raises(UsageError, match=r"'resnet34' has num_blocks \(3, 4, 6, 3\), but the file has \(2, 2, 2, 2\)"):
        hub.convert_from_hub(NAME, tmp_path / "m.safetensors")


@pytest.mark.parametrize(("missing", "message"), [("config.json", "no config.json"), ("model.safetensors", "neither")])
def test_a_repository_without_a_file_is_named(missing: str, message: str, repository: Path, tmp_path: Path) -> None:
    _publish(repository)
    (repository / missing).unlink()
    with pytest.raises(RunError, match=f"{NAME}: has {message}"):
        hub.convert_from_hub(NAME, tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf-hub:timm/resnet50.a1_in1k", ("timm", "resnet50.a1_in1k", None)),
        ("hf-hub:me/my-net@v1.0/x", ("me", "my-net", "v1.0/x")),
    ],
)
def test_names_have_an_owner_a_name_and_maybe_a_revision(text: str, parts: tuple[str, str, str | None]) -> None:
    name = hub.parse_name(text)
    assert (name.owner, name.name, name.revision) == parts
    assert str(name) == text


@pytest.mark.parametrize("text", ["hf-hub:resnet50", "hf-hub:a/b/c", "hf-hub:a/b@", "hf-hub:../x y"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected hf-hub:OWNER/NAME"):
        hub.parse_name(text)


def test_without_the_library_the_command_that_installs_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert run(["convert", NAME, "-o", str(tmp_path / "m.safetensors")]) == 1
    assert "pip install 'reslab[hub]'" in capsys.readouterr().err


def test_without_a_network_that_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants  # type: ignore[import-not-found]

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RunError, match=r"cannot be downloaded and is not in the cache\. Check the network"):
        hub.convert_from_hub(NAME, tmp_path / "m.safetensors")


def test_conversion_into_the_cache_happens_once(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    _publish(repository)
    with caplog.at_level(logging.INFO, "reslab"):
        path = hub.convert_into_cache(NAME)
        assert f"converted into {path}" in caplog.text
        written = path.stat().st_mtime_ns
        assert hub.convert_into_cache(NAME) == path
    assert path.stat().st_mtime_ns == written
    assert "already converted into" in caplog.text
    _publish(repository, **_inputs(mean=[0.1, 0.1, 0.1]))
    assert hub.convert_into_cache(NAME) != path


def test_the_command_converts_by_name_and_flags_go_before_config_json(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _publish(repository, label_names=["n1", "n2", "n3"])
    output = tmp_path / "m.safetensors"
    assert run(["convert", NAME, "-o", str(output), "--classes", "a,b,c", "--size", "160"]) == 0
    assert "network: ResNet-18" in capsys.readouterr().out
    card = load_model(output).card
    assert (card.class_names, card.preprocess.height, card.preprocess.short_side) == (("a", "b", "c"), 160, 168)
    assert run(["convert", NAME, "-o", str(output), "--arch", "resnet18"]) == 2
    assert "leave --arch and --source out" in capsys.readouterr().err


def test_a_run_starts_from_a_name_on_the_hub(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _publish(repository, label_names=["0", "1", "two"])
    flags = ["--model.family", "imagenet", "--model.stem", "imagenet", "--model.shortcut", "B"]
    flags += ["--model.num_blocks", "[2, 2, 2, 2]", "--model.widths", "[64, 128, 256, 512]"]
    flags += ["--train.iterations", "1", "--train.freeze_stages", "4", "--data.mean", "weights"]
    flags += ["--train.batch_size", "4", "--evaluation.final_training_error", "false"]
    assert run(["train", "digits-resnet20", *flags, "--run-dir", str(tmp_path / "run"), "--weights", NAME]) == 0
    said = capsys.readouterr().err
    assert "2 rows of the head are the file's, by class name; new: 2, 3, 4, 5, 6, and 3 more" in said
    weights = from_dict(RunFolder(tmp_path / "run").config()).weights
    assert weights is not None
    assert Path(weights).parent == tmp_path / "cache" / "reslab" / "weights"
