"""Documents of earlier format versions, turned into today's form before they are read.

Version 1 is that of the days before the first release. A config document is upgraded by `reslab.config`, which knows
its settings.
"""

from typing import Any, Literal

from reslab.evaluation.metrics import error_percent

FORMAT_VERSION = 2
Kind = Literal["environment", "result", "test_uses", "judgement", "record", "model", "checkpoint"]
_MACHINE = ("python", "system", "packages", "cpu", "source", "threads", "cuda")


def upgrade(values: Any, kind: Kind) -> Any:
    """Return the values of a version 1 document in today's form.

    Args:
        values: The document's JSON values, without its format version; left as they are.
        kind: Which document it is.
    """
    match kind:
        case "environment":
            return _environment(values)
        case "model":
            return _model(values)
        case "checkpoint":
            return _checkpoint(values)
        case "record":
            return _record(values)
        case "result":
            # whether a checkpoint holds the same weights was left to the config
            return {**values, "is_checkpoint": False}
        case "judgement" | "test_uses":
            return values


def _environment(values: Any) -> Any:
    return {"weights": None, **values, "sessions": [_session(session) for session in values["sessions"]]}


def _session(values: Any) -> Any:
    """Move the facts about the machine into a part of their own."""
    machine = {key: values[key] for key in _MACHINE if key in values}
    session = {key: value for key, value in values.items() if key not in _MACHINE}
    return {"date": None, "engine": None, "fused_norm": False, **session, "machine": machine}


def _model(values: Any) -> Any:
    metrics, preprocess = values.get("metrics", {}), values["preprocess"]
    return {
        **values,
        "preprocess": {"resize_mode" if key == "fit" else key: value for key, value in preprocess.items()},
        "metrics": metrics if "correct" in metrics else None,  # nothing was evaluated
    }


def _checkpoint(values: Any) -> Any:
    fields = {key: value for key, value in values.items() if key not in ("step", "best_step")}  # they are train's
    return {**fields, "learning_rate": {"schedule": None, "warmup": None, **values["learning_rate"]}}


def _record(values: Any) -> Any:
    final = {split: dict(counts) for split, counts in values["final"].items()}
    protocol = ""
    for counts in final.values():
        protocol = counts.pop("protocol")  # the same of all
        counts["error"] = error_percent(counts["correct"], counts["total"])
    missing = {"weights": None, "model_sha256": None, "loss_curve": None, "seconds": None}
    return {
        **missing,
        **{key: value for key, value in values.items() if key != "test"},  # it is final.test
        "dataset": {"skipped": 0, **values["dataset"]},
        "protocol": protocol,
        "final": final,
        "rate_drops": _rate_drops(values),
        "config": {"format_version": 1, **values["config"]},
        "environment": [_session(session) for session in values["environment"]],
    }


def _rate_drops(record: Any) -> Any:
    """Of a step schedule the very steps, where some records name the logged windows."""
    schedule = record["config"]["schedule"]
    if schedule["kind"] != "step":
        return record["rate_drops"]
    last, _ = record["curve"]["train"][-1]
    return [step for step in schedule["milestones"] if step < last]
