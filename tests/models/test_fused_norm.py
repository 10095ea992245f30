"""The fused kernel against torch's three operations, in float64."""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import reslab
from reslab.errors import RunError
from reslab.models.kernels import compiler, fused_norm, fused_norm_problem
from reslab.models.kernels.fused_norm import fits
from reslab.models.normalization import GroupedBatchNorm2d, norm_relu, set_bn_group_size, use_fused_norm

needs_kernel = pytest.mark.skipif(compiler.compiler() is None, reason="no C++ compiler here")


def _norm(channels: int) -> GroupedBatchNorm2d:
    norm = GroupedBatchNorm2d(channels)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    return norm


def _images(*shape: int, dtype: torch.dtype, scale: float = 1.0, offset: float = 0.0) -> Tensor:
    values = torch.randn(shape) * scale + offset
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


@needs_kernel
def test_the_kernel_can_be_built_and_used_wherever_there_is_a_compiler() -> None:
    assert fused_norm_problem() is None


@needs_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("adds", [True, False])
@pytest.mark.parametrize("shape", [(2, 16, 5, 7), (3, 3, 3, 3), (9, 24, 1, 1), (2, 300, 4, 4), (64, 16, 32, 32)])
def test_values_gradients_and_statistics_are_those_of_float64(
    shape: tuple[int, ...], adds: bool, relu: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    norm = _norm(shape[1])
    reference = copy.deepcopy(norm).double()
    x = _images(*shape, dtype=dtype, scale=3, offset=20 if dtype == torch.float32 else 1).requires_grad_()
    addend = _images(*shape, dtype=dtype).requires_grad_() if adds else None
    y = fused_norm(x, norm, addend, relu=relu)
    gradient = _images(*shape, dtype=dtype)
    y.backward(gradient)

    x64 = x.detach().double().requires_grad_()
    addend64 = None if addend is None else addend.detach().double().requires_grad_()
    before_relu = reference(x64) if addend64 is None else reference(x64) + addend64
    # the same mask for both: a value that rounds across zero is no error of the gradient
    y64 = torch.where(y.detach() > 0, before_relu, 0) if relu else before_relu
    y64.backward(gradient.double())

    step = 2.0**-8 if dtype == torch.bfloat16 else 2e-6  # half a unit in the last place of the output
    torch.testing.assert_close(y.double(), F.relu(before_relu) if relu else before_relu, rtol=step, atol=1e-5)
    torch.testing.assert_close(x.grad.double(), x64.grad, rtol=step, atol=2e-5 if step < 1e-5 else 2e-3)  # type: ignore[union-attr]
    if addend is not None and addend64 is not None:
        assert torch.equal(addend.grad.double(), addend64.grad)  # type: ignore[union-attr, arg-type]
    for name in ("weight", "bias"):
        ours, theirs = getattr(norm, name).grad, getattr(reference, name).grad
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5 * shape[0] * shape[2] * shape[3])
    for ours, theirs in zip(norm.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-6, atol=1e-6)


@needs_kernel
def test_a_network_has_the_gradients_of_the_plain_formulation() -> None:
    torch.manual_seed(0)
    plain = reslab.create_model("cifar_resnet20", shortcut="B").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kernel, exact = copy.deepcopy(plain), copy.deepcopy(plain).double()
    use_fused_norm(kernel)
    images = _images(16, 3, 32, 32, dtype=torch.float32)
    labels = torch.arange(16) % 10
    gradients = []
    for model in (plain, kernel, exact):
        loss = F.cross_entropy(model(images.to(model.fc.weight.dtype)), labels)
        loss.backward()
        gradients.append({name: p.grad.double() for name, p in model.named_parameters()})  # type: ignore[union-attr]

    def distance(found: dict[str, Tensor]) -> float:
        return max(float((found[n] - g).norm() / g.norm()) for n, g in gradients[2].items())

    assert distance(gradients[1]) < 1e-4
    assert distance(gradients[1]) < 3 * distance(gradients[0])  # no further from float64 than torch's own
    for ours, theirs in zip(kernel.buffers(), exact.buffers(), strict=True):
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-4, atol=1e-5)


@needs_kernel
def test_recomputed_blocks_train_as_kept_ones_do() -> None:
    torch.manual_seed(0)
    kept = reslab.create_model("cifar_resnet20").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recomputed = reslab.create_model("cifar_resnet20", checkpoint_activations=True)
    recomputed = recomputed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recomputed.load_state_dict(kept.state_dict())
    images = _images(8, 3, 32, 32, dtype=torch.float32)
    for model in (kept, recomputed):
        use_fused_norm(model)
        model(images).square().sum().backward()
    for (name, ours), theirs in zip(kept.named_parameters(), recomputed.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad), name  # type: ignore[arg-type]
    for (name, ours), theirs in zip(kept.named_buffers(), recomputed.buffers(), strict=True):
        assert torch.equal(ours, theirs), name


@needs_kernel
def test_the_same_threads_give_the_same_bits() -> None:
    x = _images(32, 16, 32, 32, dtype=torch.bfloat16)
    first, second = (norm_relu(_with_kernel(16), x) for _ in range(2))
    assert torch.equal(first, second)


def _with_kernel(channels: int) -> GroupedBatchNorm2d:
    norm = GroupedBatchNorm2d(channels)
    use_fused_norm(norm)
    return norm


@needs_kernel
def test_a_nan_is_not_hidden() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x = _images(4, 3, 5, 5, dtype=dtype)
        x[0, 1, 2, 3] = torch.nan
        y = norm_relu(_with_kernel(3), x)
        assert y[:, 1].isnan().all()
        assert not y[:, [0, 2]].isnan().any()


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(4, 3, 5, 5),
        torch.zeros(4, 3, 5, 5, dtype=torch.float64).contiguous(memory_format=torch.channels_last),
        torch.zeros(1, 3, 1, 1),
    ],
    ids=["not channels-last", "float64", "one pixel"],
)
def test_what_the_kernel_does_not_take_goes_to_torch(x: Tensor) -> None:
    assert not fits(x)


@needs_kernel
def test_groups_and_eval_mode_are_torchs() -> None:
    x = _images(8, 3, 5, 5, dtype=torch.float32)
    grouped, plain = _with_kernel(3), GroupedBatchNorm2d(3)
    for norm in (grouped, plain):
        set_bn_group_size(norm, 4)
    assert torch.equal(grouped(x), plain(x))
    assert torch.equal(grouped.eval()(x), plain.eval()(x))


def test_without_a_compiler_the_reason_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(RunError, match=r"no C\+\+ compiler"):
        compiler.load_library(tmp_path / "kernel.cpp")


@pytest.mark.skipif(compiler.compiler() is None, reason="there is no C++ compiler here")
def test_a_source_that_does_not_compile_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "kernel.cpp"
    source.write_text("this is not C++")
    with pytest.raises(RunError, match=r"kernel\.cpp could not be built"):
        compiler.load_library(source)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


@pytest.mark.skipif(compiler.compiler() is None, reason="there is no C++ compiler here")
def test_a_library_is_built_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "kernel.cpp"
    source.write_text('extern "C" int answer() { return 42; }')
    assert compiler.load_library(source).answer() == 42
    monkeypatch.setattr(compiler, "_build", None)  # a second build would fail
    assert compiler.load_library(source).answer() == 42
