"""Pages say of the records themselves on what they were trained, and that not all were computed alike."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reslab.artifacts.record import RecordedRun
from reslab.config import from_dict
from reslab.experiments.arms import SIZES, make_arm
from reslab.experiments.chapters import Chapter, read_chapters
from reslab.experiments.claims import plateau, shortcuts, thousand_layers, warmup
from reslab.experiments.evidence import AnyEvidence, Made, Measured
from reslab.experiments.record_store import RecordStore
from reslab.experiments.wording import _all_sessions, date_of, provenance_in_words, settings_in_words
from reslab.system.environment import Source

from .evidence import change, made_up

RESULTS = Path(__file__).parents[2] / "results" / "experiments"
CHAPTERS = read_chapters(RESULTS)


@pytest.fixture
def evidence() -> AnyEvidence:
    return RecordStore.open(RESULTS, shortcuts.EXPERIMENT, "digits").load()


def _with_sessions(evidence: AnyEvidence, machine: dict[str, Any] | None = None, **of_the_first: Any) -> AnyEvidence:
    """The same evidence with the first run's session and machine changed, and all trained for a minute."""
    records = {
        arm: [RecordedRun(run.path, replace(run.document, minutes=1.0)) for run in runs]
        for arm, runs in evidence.records.items()
    }
    found = replace(evidence, records=records)
    name, runs = next(iter(records.items()))
    first, *others = runs[0].document.environment
    changed = replace(first, machine=replace(first.machine, **(machine or {})), **of_the_first)
    change(found, name, 0, environment=(changed, *others))
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda one: f"{one.experiment.name}-{one.evidence.size}")
def test_every_record_in_the_book_is_of_the_arm_as_it_is_now(chapter: Chapter) -> None:
    arms = {arm.name: arm for arm in chapter.experiment.arms(chapter.evidence.size)}
    first = chapter.evidence.document.first_seed
    assert set(arms) == set(chapter.evidence.records)
    for name, runs in chapter.evidence.records.items():
        assert [(run.document.seed, arms[name].changes(from_dict(run.config()))) for run in runs] == [
            (seed, "") for seed in range(first, first + len(runs))
        ]


def _measured_at(evidence: AnyEvidence, *makings: Made) -> AnyEvidence:
    networks = {str(number): Measured(number, made) for number, made in enumerate(makings)}
    return replace(evidence, document=replace(evidence.document, networks=networks))


def _cpu(evidence: AnyEvidence) -> str:
    return _all_sessions(evidence)[0].machine.cpu.name


def _num_runs(evidence: AnyEvidence) -> int:
    return sum(map(len, evidence.records.values()))


def test_the_words_are_of_the_records_and_not_of_the_command(evidence: AnyEvidence) -> None:
    words = provenance_in_words(_with_sessions(evidence))
    assert f" on {_cpu(evidence)}, 1 thread, torch 2.13.0+cpu, computed in bf16, fused norm; source: " in words
    assert words.endswith(f"; {_num_runs(evidence)}.0 minutes of training, added up.")
    machine = replace(_all_sessions(evidence)[0].machine, threads=64)
    first, last = (Made(date=date, device="cpu", machine=machine) for date in ("2026-11-22", "2030-12-10"))
    once = replace(evidence, document=replace(evidence.document, once=Measured(1, first)))
    words = f"{_cpu(evidence)}, 64 threads, torch 2.13.0+cpu"
    assert provenance_in_words(once).endswith(f"added up. Measured 2026-11-22 on {words}.")
    later = _measured_at(evidence, first, replace(last, machine=replace(machine, threads=2)))
    assert provenance_in_words(later).endswith(
        f"added up. Measured 2026-11-22 on {words} and 2030-12-10 on {words.replace('64', '2')}."
    )
    assert date_of(later) == "2030-12-10"


def test_several_machines_threads_and_dates_are_all_named(evidence: AnyEvidence) -> None:
    machine = {"threads": 2, "source": Source(commit="0123456789", is_dirty=False)}
    found = _with_sessions(evidence, machine, date="2030-12-10")
    words = provenance_in_words(found)
    first, cpu = min(session.date or "" for session in _all_sessions(evidence)), _cpu(evidence)
    assert words.startswith(f"Trained {first} to 2030-12-10 on {cpu}, 2 threads, torch 2.13.0+cpu and {cpu}, 1 thread")
    assert "source: commit 0123456 and commit " in provenance_in_words(found)
    assert date_of(found) == "2030-12-10"
    assert date_of(evidence) == max(session.date or "" for session in _all_sessions(evidence))


@pytest.mark.parametrize("session", [{"precision": "fp32"}, {"fused_norm": False}, {"is_compiled": True}])
def test_runs_that_were_not_computed_alike_are_counted_on_the_page(
    evidence: AnyEvidence, session: dict[str, Any]
) -> None:
    assert "Not all runs" not in provenance_in_words(evidence)
    words = provenance_in_words(_with_sessions(evidence, **session))
    assert "Not all runs were computed alike (" in words
    assert f"{_num_runs(evidence) - 1} runs in bf16, fused norm" in words


def test_the_settings_on_a_page_are_those_of_the_records() -> None:
    for size in SIZES:
        one = make_arm(size, "resnet", 20)
        config = one.config
        numbers = [config.train.iterations, config.train.batch_size, *config.schedule.milestones, config.optim.lr]  # type: ignore[union-attr]
        if config.warmup.kind == "linear":
            numbers.append(config.warmup.iterations)
        evidence = made_up("depth", {one: [(1, 2)]}, size=size)
        for number in numbers:
            assert f" {number:,}" in settings_in_words(evidence)


def test_networks_with_other_settings_are_named_with_them() -> None:
    words = {
        one.name: settings_in_words(made_up(one.name, {arm: [(1, 2)] for arm in one.arms("digits")}))
        for one in (warmup.EXPERIMENT, thousand_layers.EXPERIMENT, plateau.EXPERIMENT)
    }
    assert (
        "digits-resnet110-warmed: 510 iterations of 64 images at a learning rate of 0.1, 0.01 until" in words["warmup"]
    )
    assert (
        "digits-resnet110-unwarmed: 510 iterations of 64 images at a learning rate of 0.1, divided" in words["warmup"]
    )
    assert words["thousand-layers"] == (
        "Embedded handwritten digits; 1,700 iterations of 64 images at a learning rate of 0.01, divided by 10 at 1,020 "
        "and 1,445"
    )
    assert "when the validation error plateaus" in words["plateau"]
