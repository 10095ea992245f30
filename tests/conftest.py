"""What many tests share: real data where there is some, a finished little run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

_DATA = "RESLAB_DATA"

# no deadline: the first step of a process may import for seconds; the same examples each time, so that nobody is hit
# by chance
settings.register_profile("reslab", deadline=None, derandomize=True)
settings.load_profile("reslab")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    for item in [item for item in items if item.get_closest_marker("gpu")]:
        import torch  # here, because tools/matrix runs the tests without torch too

        if not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with the real data sets; the test is skipped without it."""
    root = os.environ.get(_DATA)
    if not root:
        pytest.skip(f"needs real data: set {_DATA} to the folder that holds cifar-10-batches-bin")
    return Path(root)


@pytest.fixture(scope="session")
def imagenette(data_root: Path) -> Path:
    """The folder with ten classes of photos; the test is skipped without it."""
    folder = data_root / "imagenette-128"
    if not folder.is_dir():
        pytest.skip(f"needs imagenette-128 in {_DATA}")
    return folder


@pytest.fixture
def no_reports(without_report_extra: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings by the command, and by processes of it, write no report: it takes longer than a few steps."""
    monkeypatch.setenv("PYTHONPATH", without_report_extra["PYTHONPATH"])
    monkeypatch.setattr("reslab.cli.training._live_report", lambda folder: [])
    monkeypatch.setattr("reslab.report.write_report", lambda folder: folder.report_path)


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process, and those that it starts, compute with one thread: sums over other parts have other last bits."""
    import torch

    threads = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def without_report_extra(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a command where reslab is installed without its extra `report`."""
    folder = tmp_path_factory.mktemp("missing")
    for name in ("matplotlib", "jinja2"):
        (folder / f"{name}.py").write_text(f"raise ImportError('No module named {name}', name={name!r})\n")
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 40 iterations on the digits; treat it as read-only."""
    from reslab import override, recipe, train_run

    config = override(
        recipe("digits-resnet20"),
        {
            "train": {"iterations": 40, "log_every": 10},
            "evaluation": {"every": 20},
            "compute": {"precision": "fp32"},
            "seed": 3,
        },
    )
    path = tmp_path_factory.mktemp("runs") / "digits"
    train_run(config, path)
    return path


@pytest.fixture(scope="session")
def digit_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders below train, val and test, each with the first 30 digits of its part; treat them as read-only."""
    from PIL import Image

    from reslab.data.sources.digits import load_digits

    root = tmp_path_factory.mktemp("pictures") / "digits"
    splits = load_digits()
    for part, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        dataset = splits.part(part)
        for index in range(30):
            folder = root / name / dataset.class_names[int(dataset.labels[index])]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(dataset.images[index, 0].numpy()).save(folder / f"{index}.png")  # type: ignore[attr-defined]
    return root
