"""What has another name than at commit ebf7f61, as plain data. Everything that stands in no table here must be equal.

A file is named by a pattern over its path in the output folder, where * also matches "/". A key is the path of a value
in a document, with dots between: in its pattern * is one part of the path, and ** any number of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ANY = object()  # a value that no rule is about


@dataclass(frozen=True, slots=True)
class Key:
    """A renamed config key.

    Attributes:
        old: Its path at ebf7f61.
        new: Its path today.
        values: Today's value of each old one; None where values stayed.
        when: Another key of that time and its value, without which the key keeps its name.
    """

    old: str
    new: str
    values: Mapping[Any, Any] | None = None
    when: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Renames:
    """All tables together; without any of them (the default) not even a word may differ, only what the clock decides.

    Attributes:
        config: Renamed config keys, in every document that holds a config, in flags and in files of settings.
        verbs: The first words of a command and today's.
        flags: Of a verb of ebf7f61 and its flag: today's flag.
        files: Patterns of files and what replaces their names, as for `re.sub`.
        documents: A file, an old key in it, its new one. The wildcards of the new one stand for those of the old.
        tensors: A file, an old tensor name in it, its new one.
        words: A file and a key whose text may read otherwise; its numbers must be the same.
        layout: A file and a key whose value is of the layout alone: a format version, the hash of a file that has one.
        added: A file, a key that only today's tree writes, and its value: what a reader took for granted before.
        removed: A file, a key that only ebf7f61 wrote, and its value, or ANY.
        repeated: A file, a key that only ebf7f61 wrote, and the key that holds the same value, then and today.
        values: A file, a key, its value at ebf7f61 and today's for it.
        errors: A file and a key that only today's tree writes: the error in percent of the counts next to it.
        reworded: A pattern in printed text, on pages and in words of documents; what replaces it, on both sides; why.
        strict: Whether every word must be equal.
    """

    config: tuple[Key, ...] = ()
    verbs: Mapping[tuple[str, ...], tuple[str, ...]] | None = None
    flags: Mapping[tuple[str, str], str] | None = None
    files: tuple[tuple[str, str], ...] = ()
    documents: tuple[tuple[str, str, str], ...] = ()
    tensors: tuple[tuple[str, str, str], ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    layout: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[str, str, Any], ...] = ()
    removed: tuple[tuple[str, str, Any], ...] = ()
    repeated: tuple[tuple[str, str, str], ...] = ()
    values: tuple[tuple[str, str, Any, Any], ...] = ()
    errors: tuple[tuple[str, str], ...] = ()
    reworded: tuple[tuple[str, str, str], ...] = ()
    strict: bool = True


CONFIG = (
    Key("train.accumulation", "train.accumulation_steps"),
    Key("train.clip_norm", "train.grad_clip_norm"),
    Key("train.device", "compute.device"),
    Key("train.precision", "compute.precision"),
    Key("train.fused_norm", "compute.fused_norm"),
    Key("train.compile", "compute.compile"),
    Key("train.checkpoint_activations", "compute.checkpoint_activations"),
    Key("train.bn_group_size", "batch_norm.group_size"),
    Key("train.sync_bn", "batch_norm.sync"),
    Key("train.bn", "batch_norm.frozen", {"batch": False, "frozen": True}),
    Key("train.bn_reestimate_batches", "batch_norm.reestimate_batches"),
    Key("train.evaluate_every", "evaluation.every"),
    Key("train.monitor", "evaluation.monitor"),
    Key("train.select", "evaluation.select"),
    Key("train.final_training_error", "evaluation.final_training_error"),
    Key("train.patience_evaluations", "evaluation.patience"),
    Key("data.size", "data.photos.size"),
    Key("data.short_side", "data.photos.short_side"),
    Key("data.fit", "data.photos.resize_mode"),
    Key("data.skip_unreadable", "data.photos.skip_unreadable"),
    Key("data.first_size", "data.initial_size"),
    Key("data.val_is", "data.validation_is"),
    Key("optim.other_lr", "optim.sgd_lr"),
    Key("optim.other_momentum", "optim.sgd_momentum"),
    Key("schedule.factor", "schedule.gamma", when=("schedule.kind", "step")),
    Key("schedule.patience_evaluations", "schedule.patience"),
    Key("schedule.min_improvement", "schedule.min_delta"),
    Key("schedule.rise", "schedule.pct_start"),
)

VERBS = {
    ("train", "folder", "--data"): ("train-folder",),
    ("experiment",): ("reproduce",),
}

FLAGS = {
    ("predict", "--fit"): "--resize-mode",
    ("evaluate", "--fit"): "--resize-mode",
}

FILES: tuple[tuple[str, str], ...] = ()

_OF_MACHINES = ("python", "system", "packages.**", "cpu.**", "source.**", "threads", "cuda.**")
_RECORDS = ("results/*.json", "crossed/results/*.json", "results-of-crossed/*.json")

DOCUMENTS = (
    ("*.safetensors", "preprocess.fit", "preprocess.resize_mode"),
    *(("*/environment.json", f"sessions.*.{key}", f"sessions.*.machine.{key}") for key in _OF_MACHINES),
    *((file, f"environment.*.{key}", f"environment.*.machine.{key}") for file in _RECORDS for key in _OF_MACHINES),
)

TENSORS: tuple[tuple[str, str, str], ...] = ()

WORDS = (
    ("*", "**.selection"),
    ("*", "**.protocol"),
    ("*", "**.engine.reason"),
    ("*", "**.method"),
    ("*/test_uses.json", "uses.*.command"),
    ("*/skipped.csv", "*.reason"),
    ("said/*compare*.json", "*.label"),
    ("said/data-check.json", "findings.*.text"),
    ("said/recipes.json", "*.source"),
    ("said/recipes.json", "*.expected"),
    ("said/recipes.json", "*.cost"),
    ("said/recipes.json", "*.differences.*"),
)

LAYOUT = (
    ("*", "**.format_version"),
    ("*", "**.model_sha256"),
    ("*", "weights.sha256"),
    ("*/test_uses.json", "uses.*.model"),
    ("*/judgement.json", "basis.model"),
    ("*/judgement.json", "basis.version"),
)

ADDED: tuple[tuple[str, str, Any], ...] = (
    ("*.safetensors", "preprocess.resize_mode", "crop"),
    ("*.safetensors", "temperature", None),
    ("*/state.json", "learning_rate.schedule", None),
    ("*/state.json", "learning_rate.warmup", None),
    ("*/environment.json", "weights", None),
    # the digits and image files have one order; archives had their files'
    ("*", "**.data.order", "canonical"),
    ("crossed/*", "**.data.order", "archive"),  # of runs by ebf7f61 on data of a kind that may have been an archive
    ("*/environment.json", "sessions.*.machine.cuda", None),
    # whether a checkpoint holds the same weights: left to the config, of which it cannot be told in each case
    ("*/result.json", "is_checkpoint", True),
    ("*/result.json", "is_checkpoint", False),
    *((file, "environment.*.machine.cuda", None) for file in _RECORDS),
    *((file, "protocol", ANY) for file in _RECORDS),  # it is what REPEATED holds against
)

REMOVED: tuple[tuple[str, str, Any], ...] = (("*/state.json", "learning_rate", {}),)

REPEATED = (
    ("*/state.json", "step", "train.step"),
    ("*/state.json", "best_step", "train.best_step"),
    *((file, "test.protocol", "protocol") for file in _RECORDS),
    *((file, f"test.{key}", f"final.test.{key}") for file in _RECORDS for key in ("correct", "total", "loss")),
    *((file, "final.*.protocol", "protocol") for file in _RECORDS),
)

VALUES: tuple[tuple[str, str, Any, Any], ...] = (("*.safetensors", "metrics", {}, None),)  # nothing was evaluated

ERRORS = tuple((file, "final.*.error") for file in _RECORDS)

REWORDED: tuple[tuple[str, str, str], ...] = (
    (r"(?m)^.*\(planned: .*$", "", "changes to a plan stand in the order of the config, by group today"),
    (r", \d+ more$", "", "how many settings differ: a step's gamma and a plateau's factor were one key"),
)

RENAMES = Renames(
    config=CONFIG,
    verbs=VERBS,
    flags=FLAGS,
    files=FILES,
    documents=DOCUMENTS,
    tensors=TENSORS,
    words=WORDS,
    layout=LAYOUT,
    added=ADDED,
    removed=REMOVED,
    repeated=REPEATED,
    values=VALUES,
    errors=ERRORS,
    reworded=REWORDED,
    strict=False,
)

# --- what the clock or the machine's state decides, whatever has been renamed -----------------------------------------

CLOCK_KEYS = (
    ("*", "**.minutes"),
    ("*", "**.date"),
    ("*", "**.waited_for_data"),
    ("*", "**.waited_seconds"),
    ("*", "**.seconds"),
    ("*", "seconds.*.1"),  # a record's [step, seconds]
    ("*", "**.source.commit"),
    ("*", "**.source.is_dirty"),
    ("*", "**.images_per_second.**"),
    ("*", "**.packages.reslab"),
    ("runs/stopped/environment.json", "sessions.*.from_step"),  # it was stopped when the signal came
)
UNCOMPARED_COLUMNS = (
    "minutes",
    "when (UTC)",
    "source",
    "seconds",
    "images/s",
    "images per second",
    "model file",  # the first digits of a hash, which test_uses.json holds whole
)
CLOCK_TEXT = (
    r"(?im)^time: .*$",
    r"(?im)^.*bench input.*$",  # a hint for runs that waited for their data
    r"; about [\d.]+ (minutes|hours) here",
    r"(?i)time spent in training: [\d.]+ minutes",
    r"\d{4}-\d\d-\d\d( \d\d:\d\d)?",
    r"\breslab \d[\w.+-]*",
    r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{10,64}\b",  # hashes; where they must agree, a document holds them
)
UNCOMPARED = (
    "*/.lock",
    "*/.test_uses.lock",
    "settings/*",  # what was given to the commands
    "runs/stopped/report.html",  # says at which step the signal came; the run is compared with runs/resnet20
    "crossed/*/.*",
)
