"""Evidence made up for tests: records with chosen errors, without any training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reslab.artifacts.record import RecordedRun
from reslab.experiments.arms import Arm, Size
from reslab.experiments.evidence import AnyEvidence, Evidence, EvidenceDocument, Made, Measured
from reslab.experiments.experiment import AnyExperiment
from reslab.experiments.verdict import Verdict
from tests.artifacts.made_up import counts, machine, record_document

TOTAL = 10_000
NOISE = (-0.1, 0.0, 0.1)  # points, of three seeds
MADE = Made(
    date="2015-12-10",
    device="cpu",
    machine=machine(),
)


def made_up(
    experiment: str,
    errors: Mapping[Arm, Sequence[tuple[float, float]]],
    once: Any = None,
    networks: Mapping[str, Sequence[Any]] | None = None,
    size: Size = "digits",
) -> Evidence[Any, Any]:
    """Return evidence in which each arm's seeds have the given (training, test) errors in %.

    Args:
        experiment: the experiment's name.
        errors: for each arm, the errors of its seeds.
        once: what was measured next to the runs.
        networks: for each measured arm, what was measured on the networks of its seeds.
        size: of the arms.
    """
    networks = networks or {}
    records = {
        arm.name: [_record(arm, seed, *pair) for seed, pair in enumerate(pairs)] for arm, pairs in errors.items()
    }
    models = {arm: [f"{arm}-{seed}" for seed in range(len(seeds))] for arm, seeds in {**networks, **records}.items()}
    document = EvidenceDocument(
        experiment=experiment,
        size=size,
        models=models,
        constants={},
        networks={
            model: Measured(value, MADE)
            for arm, values in networks.items()
            for model, value in zip(models[arm], values, strict=True)
        },
        once=None if once is None else Measured(once, MADE),
    )
    return Evidence(document, records)


def change(evidence: Evidence[Any, Any], arm: str, number: int, **changes: Any) -> None:
    """Change fields of one record's document."""
    runs: Any = evidence.records[arm]
    runs[number] = replace(runs[number], document=replace(runs[number].document, **changes))


def _record(arm: Arm, seed: int, train: float, test: float) -> RecordedRun:
    errors = {"train": train, "test": test}
    final = {split: counts(round(TOTAL * (1 - error / 100)), TOTAL) for split, error in errors.items()}
    curve = tuple((step, max(train, 100.0 - step)) for step in range(10, 101, 10))
    document = record_document(
        replace(arm.config, seed=seed),
        final=final,
        curve={"train": curve, "validation": curve},
        rate_drops=(50, 75),
        train_size=1078,
        iterations=100,
    )
    return RecordedRun(Path(f"{arm.name}/{seed}.json"), document)


def with_noise(train: float, test: float) -> Sequence[tuple[float, float]]:
    """Return the (training, test) errors of three seeds around these, in %."""
    return [(train + noise, test + noise) for noise in NOISE]


def judged(experiment: AnyExperiment, evidence: AnyEvidence, part: str = "") -> Verdict:
    """Return the verdict on one part of a claim."""
    (verdict,) = [verdict for verdict in experiment.judge(evidence) if verdict.part == part]
    return verdict
