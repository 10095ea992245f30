"""Learning-rate factors against the paper's numbers, torch's schedulers and their own definitions."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reslab.builders import warn_of_late_drops, warn_of_long_warmup
from reslab.config import override
from reslab.optim.schedules import (
    ErrorWarmup,
    LearningRate,
    PlateauDecay,
    constant,
    cosine,
    linear_warmup,
    one_cycle,
    step_decay,
)
from reslab.recipes import RECIPES, recipe


def test_the_papers_cifar_rate_is_divided_by_ten_at_32k_and_48k() -> None:
    rate = LearningRate(0.1, step_decay((32_000, 48_000), 0.1), constant())
    assert [rate.at(step) for step in (0, 31_999, 32_000, 47_999, 48_000, 63_999)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )


@pytest.mark.parametrize(
    ("iterations", "late", "advice"),
    [
        (100, "306, 434", "Set schedule.milestones to [50,75], or schedule.kind to cosine"),
        (434, "434", "Set schedule.milestones to [217,325], or schedule.kind to cosine"),
        (2, "306, 434", "Set schedule.kind to cosine"),
    ],
)
def test_a_run_that_ends_before_its_drops_is_warned_of(
    iterations: int, late: str, advice: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = recipe("digits-resnet20")
    warn_of_late_drops(override(config, {"train": {"iterations": iterations}}))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"the learning rate never drops at {late}: the run ends earlier" in caplog.text
    assert f"(train.iterations is {iterations})" in caplog.text
    assert advice in caplog.text


def test_a_run_that_ends_within_its_warm_up_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    config = recipe("digits-resnet20")
    warmup = {"warmup": {"kind": "linear", "iterations": 85}}
    warn_of_long_warmup(override(config, warmup, {"train": {"iterations": 85}}))
    assert caplog.text == ""
    warn_of_long_warmup(override(config, warmup, {"train": {"iterations": 84}}))
    assert "the warm-up takes 85 iterations, but the run has only 84" in caplog.text


def test_no_recipe_ends_before_its_own_drops_or_within_its_warm_up(caplog: pytest.LogCaptureFixture) -> None:
    for one in RECIPES.values():
        warn_of_late_drops(one.make())
        warn_of_long_warmup(one.make())
    warn_of_late_drops(override(recipe("digits-resnet20"), {"train": {"iterations": 435}}))
    assert caplog.text == ""


@given(st.lists(st.integers(1, 200), min_size=1, max_size=4, unique=True), st.floats(0.01, 0.9))
def test_step_decay_equals_torchs_multistep(milestones: list[int], factor: float) -> None:
    milestones = sorted(milestones)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, factor)
    ours = step_decay(tuple(milestones), factor)
    for step in range(210):
        assert math.isclose(ours(step), reference.get_last_lr()[0], rel_tol=1e-9)
        optimizer.step()
        reference.step()


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_cosine_starts_at_one_ends_at_its_last_factor_and_never_rises(iterations: int, final: float) -> None:
    at = cosine(iterations, final)
    values = [at(step) for step in range(0, iterations + 1, max(1, iterations // 50))]
    assert at(0) == 1.0
    assert at(iterations) == pytest.approx(final)
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(values))


@given(st.integers(2, 10_000), st.floats(0.05, 0.95), st.floats(0, 1), st.floats(0, 1))
def test_one_cycle_rises_to_one_and_falls_to_its_last_factor(
    iterations: int, rise: float, start: float, final: float
) -> None:
    at = one_cycle(iterations, rise, start, final)
    assert at(0) == pytest.approx(start)
    assert at(iterations) == pytest.approx(final)
    assert max(at(step) for step in range(iterations)) <= 1.0 + 1e-12
    peak = rise * iterations
    assert at(math.ceil(peak)) == pytest.approx(1.0 + (final - 1.0) * (math.ceil(peak) - peak) / (iterations - peak))


def test_linear_warmup_moves_from_the_first_step_and_ends_at_one() -> None:
    at = linear_warmup(4)
    assert [at(step) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_the_110_layer_warmup_ends_below_80_percent_for_good() -> None:
    rate = LearningRate(0.1, step_decay((32_000, 48_000), 0.1), warmup := ErrorWarmup(0.1, 80.0, 100))
    assert rate.at(0) == pytest.approx(0.01)
    warmup.observe(80.0)
    assert rate.at(100) == pytest.approx(0.01)
    warmup.observe(79.9)
    assert rate.at(200) == pytest.approx(0.1)
    warmup.observe(95.0)
    assert rate.at(300) == pytest.approx(0.1)


def test_plateau_drops_as_torchs_reduce_on_plateau_does() -> None:
    errors = [50, 40, 39.95, 40, 41, 30, 30, 30, 30, 30, 30, 29.95, 31, 20, 20, 20, 20]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    # torch drops after more than `patience` bad evaluations, we after as many as `patience`
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.1, patience=2, threshold=0.1, threshold_mode="abs"
    )
    ours = PlateauDecay(0.1, 3, 0.1, max_drops=99)
    for error in errors:
        ours.observe(error)
        reference.step(error)
        assert ours.factor() == pytest.approx(optimizer.param_groups[0]["lr"])
    assert ours.num_drops >= 2


def test_plateau_never_drops_more_often_than_it_may() -> None:
    schedule = PlateauDecay(0.1, 1, 0.1, max_drops=2)
    for _ in range(10):
        schedule.observe(50.0)
    assert schedule.factor() == pytest.approx(0.01)


def test_a_restored_rate_goes_on_where_it_stood() -> None:
    def make() -> LearningRate:
        return LearningRate(0.1, PlateauDecay(0.1, 2, 0.1, 3), ErrorWarmup(0.1, 80.0, 100))

    first = make()
    for error in (60.0, 60.0, 60.0, 55.0, 55.0):
        first.schedule.observe(error)  # type: ignore[union-attr]
    first.warmup.observe(70.0)  # type: ignore[union-attr]
    second = make()
    second.load_state_dict(first.state_dict())
    assert second.at(0) == first.at(0)
    assert second.state_dict() == first.state_dict()
