"""The matrix: what is claimed, which torch may be installed, and what runs without torch."""

import sys
import zipfile
from pathlib import Path

import pytest
from interpreters import find_interpreter
from requirements import USER_EXTRAS, read_claims
from torch_builds import TorchSource, torch_arguments

ROOT = Path(__file__).parents[2]

pytest_plugins = ["pytester"]


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with builds of torch for two Pythons, one of which needs CUDA."""
    for name, requirement in (
        ("torch-2.9.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", "numpy"),
        ("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", "numpy"),
        ("torch-2.14.1-cp311-cp311-manylinux_2_28_x86_64.whl", "nvidia-cudnn-cu13==9.24; platform_system == 'Linux'"),
        ("torch-2.14.1-cp312-cp312-manylinux_2_28_x86_64.whl", "cuda-toolkit==13.0"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("torch.dist-info/METADATA", f"Name: torch\nRequires-Dist: {requirement}\n")
    return tmp_path


@pytest.fixture(autouse=True)
def x86_64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform of the wheels."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def test_every_requirement_of_pyproject_has_a_bound_to_test() -> None:
    claims = read_claims(ROOT / "pyproject.toml")

    assert claims.pythons == ("3.11", "3.12", "3.13")
    assert {"torch", "numpy", "scipy", "onnx", "openvino", "huggingface_hub"} <= set(claims.bounds)
    assert f"torch=={claims.bounds['torch']}" in claims.lowest()
    assert f"numpy>={claims.bounds['numpy']}" in claims.without_torch()
    assert not any(line.startswith("torch") for line in claims.without_torch())


@pytest.mark.parametrize("requirement", ["numpy", "numpy==2.1", "numpy>=2.1,<3", "numpy>=2.1; python_version<'3.13'"])
def test_a_requirement_without_a_plain_bound_is_refused(tmp_path: Path, requirement: str) -> None:
    extras = "\n".join(f"{extra} = []" for extra in (*USER_EXTRAS, "test"))
    path = tmp_path / "pyproject.toml"
    path.write_text(
        f'[project]\nclassifiers = []\ndependencies = ["{requirement}"]\n[project.optional-dependencies]\n{extras}\n'
    )

    with pytest.raises(ValueError, match="not of the form name>=version"):
        read_claims(path)


def test_the_newest_cpu_build_on_disk_is_taken(wheels: Path) -> None:
    source = TorchSource((wheels,))

    assert torch_arguments(source, "3.11", None) == [
        str(wheels / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl")
    ]


def test_an_exact_build_on_disk_is_found_with_and_without_its_last_zero(wheels: Path) -> None:
    source = TorchSource((wheels,))
    expected = [str(wheels / "torch-2.9.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl")]

    assert torch_arguments(source, "3.11", "2.9") == torch_arguments(source, "3.11", "2.9.0") == expected
    assert torch_arguments(source, "3.11", "2.90") is None


def test_a_build_that_brings_cuda_is_never_taken_from_disk(wheels: Path) -> None:
    assert torch_arguments(TorchSource((wheels,)), "3.12", None) is None
    assert torch_arguments(TorchSource((wheels,)), "3.11", "2.14.1") is None


def test_torch_is_fetched_only_from_a_named_index_or_when_allowed() -> None:
    assert torch_arguments(TorchSource(()), "3.12", "2.13") is None
    assert torch_arguments(TorchSource((), index="file:///index"), "3.12", "2.13") == [
        "torch==2.13", "--index-url", "file:///index"
    ]  # fmt: skip
    assert torch_arguments(TorchSource((), allow_download=True), "3.12", None) == ["torch"]


def test_this_python_is_found_and_one_that_is_not_installed_is_not() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    interpreter = find_interpreter(version)

    assert interpreter is not None
    assert interpreter.version == version
    assert find_interpreter("2.0") is None


def test_without_torch_only_the_tests_that_need_it_are_skipped(pytester: pytest.Pytester) -> None:
    missing = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    pytester.makepyfile(
        test_module=f"{missing}\ndef test_never_collected(): ...",
        test_of_processes="""
            import subprocess, sys

            PROGRAM = '''
            import torch
            '''

            def test_that_starts_it():
                subprocess.run([sys.executable, "-c", "raise SystemExit(1)"], check=True)
        """,
        test_tests=f"""
            import pytest

            @pytest.fixture
            def network():
                {missing}

            def test_whose_fixture_needs_it(network): ...

            def test_that_needs_it():
                try:
                    {missing}
                except ImportError as error:
                    raise RuntimeError("cannot load") from error

            def test_that_does_without(): ...

            def test_that_fails(): assert 1 == 2

            def test_that_lacks_something_else(): import no_such_module
        """,
    )

    result = pytester.runpytest_inprocess("-p", "without_torch", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=1, failed=2, skipped=4)
