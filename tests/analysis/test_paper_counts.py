"""Every network of the paper against counts by formula, and against the paper's printed figures."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from reslab.analysis.complexity import measure_complexity
from reslab.analysis.paper_counts import EXPECTED, Expected, Outcome, check_counts, expected_for
from reslab.models import build
from reslab.spec.families import CIFAR_PAPER_DEPTHS, IMAGENET_STAGES, model_spec

from . import formula


def _by_formula(name: str, shortcut: str | None, num_classes: int | None) -> formula.Count:
    option = shortcut or "plain"
    depth = int("".join(character for character in name.split("_v1")[0] if character.isdigit()))
    if name.startswith("vgg"):
        return formula.vgg(depth)
    if name.startswith("cifar"):
        return formula.cifar(depth, option, num_classes or 10)
    return formula.imagenet(depth, option, stride_on_3x3=name.endswith("v1_5"))


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: f"{row.name}-{row.shortcut}")
def test_the_table_is_what_the_formula_says(row) -> None:
    count = _by_formula(row.name, row.shortcut, row.num_classes)
    assert (row.parameters, row.multiply_adds, row.num_projections) == (
        count.parameters,
        count.multiply_adds,
        count.num_projections,
    )


_DEEP_WITHOUT_FIGURE = [row for row in EXPECTED if row.spec.depth > 1000 and not row.paper]  # seconds to count, each


def _wrong(rows: Sequence[Expected]) -> list[str]:
    outcomes = check_counts(rows)
    assert len(outcomes) == len(rows)
    return [f"{outcome.expected.name} {outcome.expected.shortcut}" for outcome in outcomes if not outcome.is_ok]


def test_every_network_has_the_counts_of_the_table_and_is_near_the_papers_figures() -> None:
    rows = [row for row in EXPECTED if row not in _DEEP_WITHOUT_FIGURE]
    assert len(rows) == len(EXPECTED) - 3
    assert _wrong(rows) == []


@pytest.mark.slow
def test_networks_of_1202_layers_of_which_the_paper_prints_nothing_have_the_counts_of_the_table_too() -> None:
    assert _wrong(_DEEP_WITHOUT_FIGURE) == []


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cifar_resnet20", {"shortcut": "C"}),
        ("resnet50", {"shortcut": "A", "in_channels": 1}),
        ("resnet50_v1_5", {"stem": "cifar"}),
        ("vgg16", {}),
    ],
    ids=str,
)
def test_multiply_adds_are_half_of_what_torchs_counter_says_layer_by_layer(name: str, options: dict[str, Any]) -> None:
    spec = model_spec(name, **options)
    found = measure_complexity(spec)
    with torch.device("meta"):
        model, image = build(spec).eval(), torch.empty(1, spec.in_channels, found.image_size, found.image_size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    counts, prefix = counter.get_flop_counts(), type(model).__name__
    assert {layer.name: 2 * layer.multiply_adds for layer in found.layers} == {
        layer.name: sum(counts[f"{prefix}.{layer.name}"].values()) for layer in found.layers
    }
    assert 2 * found.multiply_adds == counter.get_total_flops()


def test_the_table_has_every_network_and_option_of_the_paper() -> None:
    rows = {(row.name, row.shortcut) for row in EXPECTED}
    for depth in IMAGENET_STAGES:
        assert {(f"plain{depth}", None), *((f"resnet{depth}", option) for option in "ABC")} <= rows
    for depth in CIFAR_PAPER_DEPTHS:
        assert {(f"cifar_plain{depth}", None), *((f"cifar_resnet{depth}", option) for option in "ABC")} <= rows
    assert {("vgg16", None), ("vgg19", None)} <= rows
    assert sum(row.paper is not None for row in EXPECTED) == 17


def test_a_count_that_is_off_by_one_fails() -> None:
    row = EXPECTED[0]
    good = Outcome(row, row.parameters, row.multiply_adds, row.num_projections)
    assert good.is_ok
    assert not replace(good, parameters=row.parameters + 1).is_ok
    assert not replace(good, multiply_adds=row.multiply_adds - 1).is_ok
    far = replace(row, paper="1.9 G")
    assert not Outcome(far, row.parameters, row.multiply_adds, row.num_projections).is_ok


def test_the_34_layer_net_costs_18_percent_of_vgg19() -> None:
    counts = {row.name: row.multiply_adds for row in EXPECTED if row.shortcut is None}
    assert 0.18 <= counts["plain34"] / counts["vgg19"] < 0.19


def test_option_c_has_thirteen_projections_more_than_b_at_34_layers() -> None:
    projections = {row.shortcut: row.num_projections for row in EXPECTED if row.name == "resnet34"}
    assert projections["C"] - projections["B"] == 13


def test_layers_add_up_to_the_whole_and_have_table_1s_sizes() -> None:
    found = measure_complexity(model_spec("resnet50"))
    assert sum(layer.multiply_adds for layer in found.layers) == found.multiply_adds
    sizes = {layer.name: layer.output for layer in found.layers}
    assert sizes["conv1"] == (64, 112, 112)
    assert [sizes[f"layer{n}.0.conv3"] for n in (1, 2, 3, 4)] == [
        (256, 56, 56),
        (512, 28, 28),
        (1024, 14, 14),
        (2048, 7, 7),
    ]


def test_a_network_that_is_not_in_the_paper_has_no_row() -> None:
    assert expected_for(model_spec("cifar_resnet26")) is None
    assert expected_for(model_spec("resnet50", num_classes=10)) is None
