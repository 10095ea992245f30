"""Which engine is picked for a machine, by rule or by measurement; and that compiling does not grow with depth."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reslab import model_spec
from reslab.builders import choose_engine
from reslab.config import BatchNormConfig, override
from reslab.distributed import World
from reslab.engines import training as engine
from reslab.engines.rate_cache import cached_rates
from reslab.engines.training import Engine
from reslab.errors import RunError, UsageError
from reslab.models import ResNet, create_model
from reslab.recipes import recipe
from reslab.spec import ModelSpec, PreprocessSpec

CPU = torch.device("cpu")
SPEC = model_spec("cifar_resnet8")
AUTO = {"precision": "auto", "fused_norm": "auto", "compile": "auto", "device": CPU, "iterations": 64_000}


def _labels(**choices: object) -> list[str]:
    return [one.label for one in engine.candidates(**{**AUTO, "has_blocks": True, **choices})]  # type: ignore[arg-type]


def _machine(
    monkeypatch: pytest.MonkeyPatch, *flags: str, compiler: str | None = "g++", kernel: str | None = None
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)  # the tests themselves may run under a limit
    monkeypatch.setattr("reslab.engines.hardware.cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr("reslab.engines.training.compiler", lambda: compiler)
    monkeypatch.setattr("reslab.engines.training.fused_norm_problem", lambda: kernel)


@pytest.mark.parametrize(("flags", "is_native"), [(("avx512_bf16",), True), (("amx_bf16",), True), (("avx2",), False)])
def test_bf16_is_a_candidate_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], is_native: bool
) -> None:
    _machine(monkeypatch, *flags)
    assert ("bf16" in _labels(fused_norm="off")) is is_native
    assert _labels(precision="fp32", fused_norm="off") == ["fp32"]
    if not is_native:
        with pytest.raises(RunError, match="no native bfloat16; use fp32 or auto"):
            _labels(precision="bf16")


@pytest.mark.parametrize(
    ("limit", "bf16", "compiled"),
    [("AVX2", False, False), ("AVX512_CORE", False, False), ("avx512_core_bf16", True, False),
     ("AVX512_CORE_AMX", True, True), ("ALL", True, True), ("DEFAULT", True, True), ("unknown", True, True)],
)  # fmt: skip
def test_what_onednn_may_not_use_the_processor_does_not_have(
    monkeypatch: pytest.MonkeyPatch, limit: str, bf16: bool, compiled: bool
) -> None:
    _machine(monkeypatch, "avx512_bf16", "amx_bf16", "amx_tile")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert ("bf16" in _labels(fused_norm="off", compile="off")) is bf16
    assert ("fp32, compiled" in _labels(fused_norm="off")) is compiled


def test_rates_under_a_limit_of_onednn_are_not_those_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for limit, rate in (("AVX2", 1.0), ("ALL", 2.0), ("AVX2", 3.0)):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
        kept = cached_rates("engines", ["a network"], CPU, lambda rate=rate: {"fp32": rate})
        assert kept == {"fp32": 2.0 if limit == "ALL" else 1.0}


def test_compiling_is_a_candidate_for_long_runs_on_a_processor_with_amx_and_a_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixed = {"precision": "fp32", "fused_norm": "off"}
    _machine(monkeypatch, "amx_tile")
    assert _labels(**fixed) == ["fp32, compiled", "fp32"]
    assert _labels(**fixed, iterations=500) == ["fp32"]
    assert _labels(**fixed, iterations=500, compile="on") == ["fp32, compiled"]
    assert _labels(**fixed, compile="off") == ["fp32"]
    assert _labels(**fixed, has_blocks=False) == ["fp32"]
    _machine(monkeypatch, "avx512_bf16")
    assert _labels(**fixed) == ["fp32"]
    _machine(monkeypatch, "amx_tile", compiler=None)
    assert _labels(**fixed) == ["fp32"]
    with pytest.raises(RunError, match="no C\\+\\+ compiler"):
        _labels(compile="on")


def test_the_kernel_is_the_first_candidate_where_it_can_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch)
    assert _labels() == ["fp32, fused norm", "fp32"]
    _machine(monkeypatch, kernel="there is no C++ compiler")
    assert _labels() == ["fp32"]
    with pytest.raises(RunError, match=r"compute\.fused_norm is 'on', but there is no C"):
        _labels(fused_norm="on")


def test_a_kernel_that_is_asked_for_is_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch, "amx_tile")
    assert _labels() == ["fp32, compiled", "fp32, fused norm", "fp32"]
    assert _labels(fused_norm="on") == ["fp32, fused norm"]
    assert _labels(fused_norm="on", compile="off") == ["fp32, fused norm"]
    assert _labels(compile="on") == ["fp32, compiled"]
    assert _labels(compile="on", fused_norm="off") == ["fp32, compiled"]


def test_choices_that_exclude_one_another_or_the_network_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch, "amx_tile")
    with pytest.raises(
        UsageError, match=r"compute\.compile is 'on' and compute\.fused_norm is 'on'.*Set one of the two"
    ):
        _labels(compile="on", fused_norm="on")
    with pytest.raises(
        UsageError, match=r"compute\.compile is 'on', but only residual and plain blocks can be compiled"
    ):
        _labels(compile="on", has_blocks=False)


@pytest.mark.parametrize(
    ("model", "batch_norm", "reason"),
    [
        (model_spec("vgg16"), BatchNormConfig(), "has no batch norm"),
        (model_spec("cifar_resnet8", norm="none"), BatchNormConfig(), "has no batch norm"),
        (SPEC, BatchNormConfig(frozen=True), "batch_norm.frozen is true"),
        (SPEC, BatchNormConfig(group_size=16), "batch_norm.group_size is 16"),
    ],
)
def test_a_kernel_that_nothing_would_use_is_refused(
    model: ModelSpec, batch_norm: BatchNormConfig, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _machine(monkeypatch)
    made = recipe("digits-resnet20")
    inputs = PreprocessSpec(channels=3, height=32, width=32, mean=(0.5,) * 3, std=(0.2,) * 3)

    def chosen(fused_norm: str, batch_size: int = 32) -> Engine:
        changes = {"train": {"iterations": 10, "batch_size": batch_size}, "compute": {"fused_norm": fused_norm}}
        config = replace(override(made, changes), model=model, weights="any.safetensors", batch_norm=batch_norm)
        return choose_engine(config, inputs, CPU, World())

    with pytest.raises(UsageError, match=f"compute.fused_norm is 'on', but .*{reason}.*set it to auto or off"):
        chosen(fused_norm="on")
    assert not chosen(fused_norm="auto").fused_norm
    if batch_norm.group_size:
        assert chosen(fused_norm="on", batch_size=16).fused_norm  # then the group is the batch


def _pick(found: list[Engine], iterations: int = 64_000) -> Engine:
    return engine.pick(found, SPEC, size=(32, 32), batch_size=8, device=CPU, iterations=iterations)


def test_a_short_run_goes_by_the_rule_and_a_long_one_by_the_measurement(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = [Engine(), Engine(fused_norm=True)]
    monkeypatch.setattr(engine, "training_rates", lambda *_: {"fp32": 100.0, "fp32, fused norm": 120.0})
    assert _pick(found, iterations=100).label == "fp32"
    assert _pick(found).label == "fp32, fused norm"
    assert _pick(found).rates == {"fp32": 100.0, "fp32, fused norm": 120.0}


def test_a_measurement_is_kept_and_a_toss_up_goes_to_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = [Engine(), Engine(fused_norm=True)]
    monkeypatch.setattr(engine, "training_rates", lambda *_: {"fp32": 100.0, "fp32, fused norm": 102.0})
    assert _pick(found).label == "fp32"
    monkeypatch.setattr(engine, "training_rates", lambda *_: pytest.fail("measured again"))
    assert _pick(found).label == "fp32"
    for kept in (tmp_path / "reslab" / "engines").iterdir():
        kept.write_text("[damaged")
    monkeypatch.setattr(engine, "training_rates", lambda *_: {"fp32": 100.0, "fp32, fused norm": 200.0})
    assert _pick(found).label == "fp32, fused norm"


def test_of_several_at_once_one_measures_and_the_others_take_its_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls: list[int] = []

    def measure() -> dict[str, float]:
        calls.append(1)
        time.sleep(0.2)
        return {"fp32": float(len(calls))}

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: cached_rates("engines", ["fact"], CPU, measure), range(4)))
    assert found == [{"fp32": 1.0}] * 4


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cached_rates("engines", ["fact"], CPU, lambda: {"fp32": 2.0}) == {"fp32": 2.0}


def test_a_deep_network_is_measured_by_a_shallow_one_of_its_layers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    measured = []
    monkeypatch.setattr(engine, "training_rates", lambda found, spec, *_: measured.append(spec.depth) or {"fp32": 1.0})
    found = [Engine(), Engine(fused_norm=True)]
    for depth in (1202, 110):
        deep = model_spec(f"cifar_resnet{depth}")
        picked = engine.pick(found, deep, size=(32, 32), batch_size=8, device=CPU, iterations=64_000)
        assert picked.reason == "measured with at most 2 blocks in a stage: the fastest here"
    assert measured == [14]
    shallow = engine.pick(found, SPEC, size=(32, 32), batch_size=8, device=CPU, iterations=64_000)
    assert shallow.reason == "measured: the fastest here"


def test_measuring_counts_images_and_leaves_the_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    rates = engine.training_rates([Engine()], SPEC, (8, 3, 32, 32), CPU)
    assert torch.equal(before, torch.get_rng_state())
    assert rates["fp32"] > 0


def test_every_engine_computes_the_same_loss() -> None:
    found = engine.candidates(**{**AUTO, "iterations": 1, "has_blocks": True})  # type: ignore[arg-type]
    losses = []
    for one in found:
        torch.manual_seed(0)
        losses.append(engine.make_step(one, SPEC, (32, 3, 32, 32), CPU)().item())
    assert losses == pytest.approx([losses[-1]] * len(found), rel=2e-2)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler warns about its own doings
def test_blocks_of_one_shape_are_compiled_once_however_deep_the_network_is() -> None:
    graphs = []
    for depth in (14, 26):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        model = create_model(f"cifar_resnet{depth}").to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        assert isinstance(model, ResNet)
        engine.compile_blocks(model)
        model(torch.randn(8, 3, 32, 32).contiguous(memory_format=torch.channels_last)).sum().backward()
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs == [5, 5]  # three stages, and the first blocks of two of them change dimensions
