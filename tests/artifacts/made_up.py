"""Documents made up for tests, whole and valid, with any field changed."""

from typing import Any

from reslab.artifacts.documents import Counts, DataFacts, EngineChoice, Environment, RunResult, Session
from reslab.artifacts.record import RecordDocument
from reslab.config import RunConfig, to_dict
from reslab.evaluation.metrics import error_percent
from reslab.system.environment import Cpu, Machine, Source


def counts(correct: int = 3, total: int = 4, loss: float | None = 0.7) -> Counts:
    return Counts(correct=correct, total=total, loss=loss, error=error_percent(correct, total))


def data_facts(**changes: Any) -> DataFacts:
    sizes = {"train": 8, "test": 4}
    facts = {"name": "x", "fingerprint": "0123456789abcdef", "num_classes": 2, "sizes": sizes, "skipped": 0}
    return DataFacts(**{**facts, **changes})


def machine(**changes: Any) -> Machine:
    facts = {
        "python": "3.11.7",
        "system": "Linux x86_64",
        "packages": {"reslab": "0.1.0", "torch": "2.13.0"},
        "cpu": Cpu(name="a processor", cores=2, flags=("avx2",)),
        "source": Source(commit="0123456789", is_dirty=False),
        "threads": 1,
    }
    return Machine(**{**facts, **changes})


def session(**changes: Any) -> Session:
    facts = {
        "from_step": 0,
        "date": "2015-12-10",
        "device": "cpu",
        "precision": "fp32",
        "fused_norm": False,
        "is_compiled": False,
        "world_size": 1,
        "engine": EngineChoice(reason="made up", images_per_second={}),
        "machine": machine(),
    }
    return Session(**{**facts, **changes})


def environment(**changes: Any) -> Environment:
    return Environment(**{"data": data_facts(), "weights": None, "sessions": (session(),), **changes})


def run_result(**changes: Any) -> RunResult:
    facts = {
        "recipe": "made-up",
        "model": "x",
        "seed": 0,
        "iterations": 50,
        "selection": "none",
        "selected_step": 50,
        "is_checkpoint": True,
        "protocol": "y",
        "reported_split": "test",
        "final": {"test": counts()},
        "confusion": ((2, 0), (1, 1)),
        "monitor": "test",
        "minutes": 1.0,
        "waited_for_data": 0.0,
        "model_sha256": "0123",
    }
    return RunResult(**{**facts, **changes})


def record_document(config: RunConfig, **changes: Any) -> RecordDocument:
    facts = {
        "recipe": config.recipe,
        "network": config.model.label,
        "dataset": data_facts(),
        "weights": None,
        "seed": config.seed,
        "iterations": config.train.iterations,
        "train_size": 8,
        "selection": "none: the last weights",
        "monitor": config.evaluation.monitor,
        "protocol": "single original view, fp32",
        "reported_split": "test",
        "final": {"test": counts()},
        "model_sha256": None,
        "rate_drops": (),
        "curve": {},
        "loss_curve": None,
        "config": to_dict(config),
        "environment": (session(),),
        "minutes": 1.0,
        "seconds": None,
    }
    return RecordDocument(**{**facts, **changes})
