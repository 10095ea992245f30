"""What is picked for a machine: precision, compilation; and that compiling does not grow with depth."""

import pytest
import torch

from reslab import build
from reslab.config import TrainConfig
from reslab.errors import Failure
from reslab.models import ResNet, create_model

CPU = torch.device("cpu")


def _flags(monkeypatch: pytest.MonkeyPatch, *flags: str) -> None:
    monkeypatch.setattr("reslab.build.cpu_flags", lambda: frozenset(flags))


@pytest.mark.parametrize(("flags", "is_native"), [(("avx512_bf16",), True), (("amx_bf16",), True), (("avx2",), False)])
def test_bf16_is_picked_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], is_native: bool
) -> None:
    _flags(monkeypatch, *flags)
    assert build.use_bf16(TrainConfig(iterations=1), CPU) is is_native
    assert build.use_bf16(TrainConfig(iterations=1, precision="fp32"), CPU) is False
    if not is_native:
        with pytest.raises(Failure, match="no native bfloat16; use fp32 or auto"):
            build.use_bf16(TrainConfig(iterations=1, precision="bf16"), CPU)


def test_only_long_runs_on_a_processor_with_amx_and_a_compiler_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    _flags(monkeypatch, "amx_tile")
    assert build.should_compile(TrainConfig(iterations=64_000), CPU)
    assert not build.should_compile(TrainConfig(iterations=500), CPU)
    assert build.should_compile(TrainConfig(iterations=500, compile="on"), CPU)
    assert not build.should_compile(TrainConfig(iterations=64_000, compile="off"), CPU)
    _flags(monkeypatch, "avx512_bf16")
    assert not build.should_compile(TrainConfig(iterations=64_000), CPU)
    monkeypatch.setattr("shutil.which", lambda name: None)
    _flags(monkeypatch, "amx_tile")
    assert not build.should_compile(TrainConfig(iterations=64_000), CPU)
    with pytest.raises(Failure, match="no C\\+\\+ compiler"):
        build.should_compile(TrainConfig(iterations=1, compile="on"), CPU)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler warns about its own doings
def test_blocks_of_one_shape_are_compiled_once_however_deep_the_network_is() -> None:
    graphs = []
    for depth in (14, 26):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        model = create_model(f"cifar_resnet{depth}").to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        assert isinstance(model, ResNet)
        build.compile_blocks(model)
        model(torch.randn(8, 3, 32, 32).contiguous(memory_format=torch.channels_last)).sum().backward()
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs == [5, 5]  # three stages, and the first blocks of two of them change dimensions
