"""What a report says of a network's layers: the numbers of the library, on images spread over the split."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from reslab import create_model
from reslab.analysis.batchnorm_health import judge_batch_norms
from reslab.analysis.signals import layer_responses, layer_signals
from reslab.artifacts.model_file import ModelCard
from reslab.data import ArrayDataset
from reslab.data.views import batches
from reslab.report import judge, write_model_report
from reslab.report.figures.layers import LayerLine, draw_responses
from reslab.report.figures.network import network_view
from reslab.report.judgement import Judgement
from reslab.report.measurements import BatchNormRow, BatchNorms, LayerMeasurements, measure_layers
from reslab.spec import PreprocessSpec
from reslab.system.progress import counting

NAMES = ("ant", "bee", "cat")
SPEC = PreprocessSpec(channels=3, height=16, width=16, mean=(127.0,) * 3, std=(60.0,) * 3)
CARD = ModelCard(preprocess=SPEC, class_names=NAMES, recipe="r")


def _noise(count: int) -> ArrayDataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)
    return ArrayDataset("noise", images, (torch.arange(count) * 3 // count), NAMES)  # sorted by class


def _model(name: str = "cifar_resnet8", **options: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return create_model(name, num_classes=3, **options).eval()


def _page(found: Judgement, path: Path) -> str:
    return write_model_report(found, path, name="m", recipe="r", metrics=None, command="c").read_text()


def test_the_numbers_are_the_librarys_on_every_second_image_of_a_split_twice_as_large() -> None:
    model, data = _model(), _noise(500)
    found = measure_layers(model, CARD, data, "validation")
    assert found is not None
    every_second = data.subset(torch.arange(0, 500, 2))
    batch = next(iter(batches(every_second, SPEC, batch_size=250, device=torch.device("cpu"))))
    responses = layer_responses(model, batch.images)
    assert found.layers == tuple(response.layer for response in responses)
    assert found.responses == pytest.approx([response.std for response in responses], rel=1e-3)
    chosen = torch.arange(128) * 250 // 128
    gradients = [one.relative_gradient for one in layer_signals(model, batch.images[chosen], batch.labels[chosen])]
    assert found.gradients == pytest.approx(gradients, rel=1e-3)
    health = judge_batch_norms(model, batch.images)
    assert found.norms is not None
    assert [row.mean_shift for row in found.norms.rows] == pytest.approx([one.mean_shift for one in health], rel=1e-3)
    assert (found.split, found.images, found.batch) == ("validation", 250, 128)
    assert batch.labels[chosen].bincount().tolist() == [44, 42, 42]  # of all classes alike, though sorted


def test_large_images_and_large_networks_get_fewer_images_but_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reslab.report.measurements._PIXELS", 16 * 16 * 40)
    monkeypatch.setattr("reslab.report.measurements._ACTIVATIONS", 1)
    found = measure_layers(_model(), CARD, _noise(60), "test")
    assert found is not None
    assert (found.images, found.batch) == (40, 8)


def test_of_two_images_there_is_still_something_to_say_and_of_one_nothing() -> None:
    assert measure_layers(_model(), CARD, _noise(1), "test") is None
    found = measure_layers(_model(), CARD, _noise(2), "test")
    assert found is not None
    assert (found.images, found.batch) == (2, 2)


def test_a_page_shows_responses_gradients_and_batch_norms_with_words_for_each_figure(tmp_path: Path) -> None:
    found = judge(_model(), CARD, _noise(30), split="test", train=None, watch=counting)
    text = _page(found, tmp_path / "page.html")
    for title in ("Inside the network", "Layer responses", "Gradients", "Batch norm"):
        assert f">{title}</h" in text
    assert 'aria-label="Line chart of 7 layers in order of depth: first ' in text
    assert "30 images of the test split, eval mode" in text
    assert found.inside is not None
    assert found.inside.norms is not None
    assert found.inside.norms.verdict.split(",")[0] in text
    assert "<td>layer1.0.bn2</td><td>addition</td>" in text


def test_networks_without_batch_norm_have_no_such_section(tmp_path: Path) -> None:
    found = judge(_model("cifar_plain8", norm="none"), CARD, _noise(20), split="test", train=None, watch=counting)
    text = _page(found, tmp_path / "page.html")
    assert ">Layer responses</h3>" in text
    assert ">Batch norm</h3>" not in text


def test_numbers_that_are_not_finite_are_said_not_drawn() -> None:
    model = _model()
    with torch.no_grad():
        model.layer2[0].bn1.running_var[0] = float("nan")
    found = measure_layers(model, CARD, _noise(20), "test")
    assert found is not None
    view = network_view(found)
    assert view.norms is not None
    assert "numbers that are not finite in 1 (layer2.0.bn1: running_var)" in view.norms.measured.verdict
    responses, gradients = view.figures
    assert dict(responses.rows)["layer2.0.conv1"] == "not finite"
    assert responses.caption.endswith("Of 4 layers it is not finite.")
    assert dict(gradients.rows)["layer2.0.conv1"] != "not finite"  # training mode does not read running_var


def test_nothing_that_is_finite_leaves_the_figure_out() -> None:
    model = _model()
    with torch.no_grad():
        model.conv1.weight[0] = float("nan")
    found = measure_layers(model, CARD, _noise(20), "test")
    assert found is not None
    assert network_view(found).figures == ()
    assert found.norms is not None
    assert found.norms.verdict.startswith("Of 7 batch-norm layers 0 are healthy; inputs that are not finite in 7")


def test_1202_layers_make_a_page_of_bounded_size() -> None:
    rows = tuple(
        BatchNormRow(
            layer=f"layer1.{number}.bn1",
            channels=16,
            has_relu=True,
            dead=number % 3,
            mean_shift=0.1,
            variance_ratio=-0.2,
            smallest_scale=0.1,
            median_scale=0.5,
            not_finite=(),
            is_healthy=True,
        )
        for number in range(1201)
    )
    found = LayerMeasurements(
        split="test",
        images=250,
        layers=tuple(row.layer for row in rows),
        responses=tuple(0.5 + number % 7 for number in range(1201)),
        batch=12,
        gradients=tuple(10.0 ** -(number % 9) for number in range(1201)),
        norms=BatchNorms(verdict="v", rows=rows),
    )
    view = network_view(found)
    assert view.norms is not None
    svgs = [svg for part in (*view.figures, view.norms) for svg in part.svgs]
    assert len(svgs) == 5
    assert all("aria-label=" in svg for svg in svgs)
    assert sum(map(len, svgs)) < 500_000
    assert "largest 6.5 (layer1." in svgs[0]


def test_a_model_is_left_as_it_was() -> None:
    model = _model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure_layers(model, replace(CARD, temperature=2.0), _noise(20), "test")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())


def test_figure_7_has_the_layers_in_order_of_depth_and_sorted_without_those_that_are_not_finite() -> None:
    panels = list(Figure().subplots(1, 2))
    draw_responses(panels, [LayerLine([0.5, 2.0, math.nan, 1.0], "#000000")])
    by_depth, by_size = (axes.lines[0].get_ydata() for axes in panels)
    assert list(by_depth)[:2] == [0.5, 2.0]
    assert math.isnan(by_depth[2])
    assert list(by_size) == [2.0, 1.0, 0.5]
