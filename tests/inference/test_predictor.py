"""Predictors on every engine, against the network in float64; what is picked, and what is refused."""

import logging
from pathlib import Path

import pytest
import torch

import reslab
from reslab import RunError, UsageError
from reslab.artifacts.model_file import load_model
from reslab.engines import inference as backends
from reslab.inference import predictor
from reslab.models import ResNet, create_model
from reslab.models.folding import fold_batch_norm

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model_path(digits_run: Path) -> Path:
    return digits_run / "model.safetensors"


@pytest.mark.parametrize(
    ("name", "options"),
    [("cifar_resnet20", {}), ("cifar_plain20", {}), ("resnet18", {"shortcut": "C"}), ("resnet50", {})],
)
def test_folding_keeps_the_logits_and_the_model_given(name: str, options: dict[str, str]) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=10, **options).double()  # type: ignore[arg-type]
    images = torch.randn(2, 3, 64, 64).double()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    expected = model.eval()(images)
    folded = fold_batch_norm(model)
    torch.testing.assert_close(folded(images), expected, rtol=1e-9, atol=1e-9 * expected.abs().max().item())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_without_an_engine_it_is_the_module_in_float32(model_path: Path) -> None:
    model = reslab.load(model_path)
    assert isinstance(model.network, ResNet)
    assert not any(module.training for module in model.modules())
    assert model.network.fc.weight.dtype == torch.float32


def test_a_run_folder_stands_for_its_model_file(model_path: Path, tmp_path: Path) -> None:
    run, file = reslab.load(str(model_path.parent)), reslab.load(model_path)
    assert all(torch.equal(ours, file.state_dict()[name]) for name, ours in run.state_dict().items())
    with pytest.raises(RunError, match="is not a run folder"):
        reslab.load(tmp_path)


@pytest.mark.parametrize("options", [{}, {"engine": "torch-fp32"}])
def test_a_device_that_this_machine_lacks_is_a_run_error(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    with pytest.raises(
        RunError, match=r"device is 'cuda:1', but torch sees no such device on this machine; allowed: cpu\."
    ):
        reslab.load(model_path, device=torch.device("cuda", 1), **options)  # type: ignore[call-overload]
    assert next(reslab.load(model_path, device="cpu").parameters()).device == CPU


@pytest.mark.parametrize("engine", ["torch-fp32", "torch-bf16", "onnxruntime", "openvino"])
def test_every_engine_gives_the_logits_of_the_network(model_path: Path, engine: str) -> None:
    reason = backends.problem(engine, CPU)
    if reason:
        pytest.skip(reason)
    loaded = load_model(model_path)
    images = predictor.smooth_noise(loaded, 7)
    expected = loaded.model.double()(images.double())
    found = reslab.load(model_path, engine=engine, images=images, batch_size=4)
    for count in (1, 4, 7):  # another batch than it was made for
        tolerance = 1e-4 if engine in ("torch-fp32", "onnxruntime") else 0.05
        scale = expected.abs().max().item()
        torch.testing.assert_close(found(images[:count]).double(), expected[:count], rtol=0, atol=tolerance * scale)
    assert found.engine == engine
    assert found.agreement >= 6 / 7
    assert "agreement with fp32" in str(found)
    assert "the images given" in str(found)


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError("no such layer\nat line 3"), "no such layer"), (KeyError(), "KeyError")], ids=repr
)
def test_an_engine_asked_for_by_name_that_breaks_is_a_failure_with_its_reason(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def breaks(model: object, example: object) -> object:
        raise error

    monkeypatch.setattr(backends, "MAKERS", {**backends.MAKERS, "onnxruntime": breaks})
    monkeypatch.setattr(backends, "problem", lambda *_: None)
    with pytest.raises(RunError, match=f"^engine 'onnxruntime' fails on this machine: {reason}$"):
        reslab.load(model_path, engine="onnxruntime")


def test_an_engine_that_answers_nothing_is_a_failure_and_not_the_fastest(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    silent = {"silent": lambda model, example: lambda images: torch.empty(0, 10)}
    for module in (backends, predictor):
        monkeypatch.setattr(module, "MAKERS", {"torch-fp32": backends.MAKERS["torch-fp32"], **silent})
    with pytest.raises(RunError, match=r"fails on this machine: it returns logits of shape \[0, 10\], not \[16, 10\]"):
        reslab.load(model_path, engine="silent")
    found = reslab.load(model_path, engine="auto")
    assert (found.engine, set(found.rates)) == ("torch-fp32", {"torch-fp32"})


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler warns about its own doings
def test_auto_measures_all_engines_once_and_takes_the_fastest(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = reslab.load(model_path, engine="auto")
    assert set(found.rates) == {name for name in backends.MAKERS if backends.problem(name, CPU) is None}
    assert found.rates[found.engine] == max(found.rates.values())
    monkeypatch.setattr(backends, "race", lambda *_, **__: pytest.fail("measured again"))
    assert reslab.load(model_path, engine="auto").engine == found.engine


def test_auto_leaves_out_an_engine_that_answers_otherwise(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    wrong = {"wrong": lambda model, example: lambda images: -model(images).detach()}
    monkeypatch.setattr(backends, "MAKERS", {**backends.MAKERS, **wrong})
    monkeypatch.setattr(backends, "inference_rates", lambda *_: {"torch-fp32": 2.0, "wrong": 9.0})
    with caplog.at_level(logging.WARNING):
        assert reslab.load(model_path, engine="auto").engine == "torch-fp32"
    assert "engine 'wrong' disagrees with fp32" in caplog.text


def test_an_engine_asked_for_by_name_that_answers_otherwise_is_warned_of(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = {"torch-bf16": lambda model, example: lambda images: -model(images).detach()}
    monkeypatch.setattr(backends, "MAKERS", {**backends.MAKERS, **wrong})
    monkeypatch.setattr(backends, "problem", lambda *_: None)
    assert reslab.load(model_path, engine="torch-bf16").agreement < 0.5
    assert "engine 'torch-bf16' disagrees with fp32" in caplog.text


def test_auto_goes_on_where_an_engine_measured_before_no_longer_starts(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: object) -> None:
        raise OSError("no such library")

    monkeypatch.setattr(backends, "MAKERS", {**backends.MAKERS, "broken": breaks})
    monkeypatch.setattr(backends, "problem", lambda *_: None)
    monkeypatch.setattr(backends, "inference_rates", lambda *_: {"torch-fp32": 2.0, "broken": 9.0})
    assert reslab.load(model_path, engine="auto").engine == "torch-fp32"
    assert "engine 'broken' worked on this machine when it was measured, but now fails: " in caplog.text


def test_auto_leaves_out_an_engine_that_breaks(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: object) -> None:
        raise OSError("no such instruction")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(backends, "MAKERS", {"broken": breaks, "torch-fp32": backends.MAKERS["torch-fp32"]})
    found = reslab.load(model_path, engine="auto")
    assert list(found.rates) == ["torch-fp32"]
    assert "engine 'broken' fails on this machine: no such instruction" in caplog.text


def test_a_misspelt_engine_and_a_missing_package_are_said(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UsageError, match=r"engine is 'openvin'; allowed: 'auto', 'torch-fp32', .* Did you mean 'openvino'"
    ):
        reslab.load(model_path, engine="openvin")
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"openvino, onnxscript is missing; install it with: pip install 'reslab\[openv"):
        reslab.load(model_path, engine="openvino")
