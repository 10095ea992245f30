"""What both trees are asked to do, in the words of ebf7f61, and what of the reference's work the current tree takes on.

Every command runs in a side's own folder. @ is the folder of the data, which both read: photos/CLASS/*.jpg and
parts/, the same with train and val and files that cannot be read.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: What its output is called.
        command: Its words, without "reslab".
        prints: The kind of its standard output: txt, json, jsonl, csv or toml; log is not compared.
        code: The exit code that it should have.
        settings: Nested settings, given as a TOML file by --config.
        interrupt: The run folder whose first checkpoint brings a SIGINT; the exit code is then 130.
    """

    name: str
    command: str
    prints: str = "txt"
    code: int = 0
    settings: Mapping[str, Any] | None = None
    interrupt: str | None = None

    def words(self, data: str) -> tuple[str, ...]:
        """Return the command as words.

        Args:
            data: The folder of the data.
        """
        return tuple(data + word[1:] if word.startswith("@") else word for word in shlex.split(self.command))


_LOOP = (
    "--train.iterations 60 --train.log_every 10 --train.evaluate_every 20 --train.checkpoint_every 10 "
    "--schedule.kind step --schedule.milestones [30,45] --schedule.factor 0.2 --warmup.iterations 10"
)
_SMALL = "--model.num_blocks [1,1,1] --model.widths [8,8,16]"
_NARROW = "--model.widths [8,16,32,64]"
_SEEDS = (
    f"train folder --data @/photos --epochs 1 --size 32 {_SMALL} --train.evaluate_every 4 --train.checkpoint_every 4 "
    "--seeds 0,1"
)

_PLATEAU = {
    "model": {"num_blocks": [1, 1, 1], "widths": [8, 8, 16], "shortcut": "B"},
    "data": {"mean": "channel", "scale": "std", "sampling": "balanced", "mixup_alpha": 0.2, "cutmix_alpha": 1.0},
    "train": {
        "iterations": 60,
        "batch_size": 32,
        "log_every": 5,
        "evaluate_every": 4,
        "checkpoint_every": 10,
        "monitor": "validation",
        "select": "best",
        "patience_evaluations": 6,
        "bn_group_size": 16,
        "bn_reestimate_batches": 3,
        "class_weights": "balanced",
        "checkpoint_activations": True,
        "final_training_error": False,
    },
    "optim": {"lr": 0.1, "nesterov": True, "decay_norm_and_bias": False},
    "schedule": {"kind": "plateau", "factor": 0.5, "patience_evaluations": 1, "min_improvement": 0.5, "max_drops": 3},
    "warmup": {"kind": "until_error", "factor": 0.1, "below_percent": 85.0, "window_iterations": 5},
}

TRAINING = (
    Step("train-plain20", f"train digits-plain20 {_LOOP} --run-dir runs/plain20"),
    Step("train-resnet20", f"train digits-resnet20 {_LOOP} --seed 3 --run-dir runs/resnet20"),
    Step("train-stopped", f"train digits-resnet20 {_LOOP} --seed 3 --run-dir runs/stopped", interrupt="runs/stopped"),
    Step(
        "train-photos",
        f"train folder --data @/photos --epochs 2 --size 64 {_NARROW} --train.evaluate_every 6 "
        "--train.checkpoint_every 5 --run-dir runs/photos",
    ),
    Step(
        "train-muon",
        f"train digits-resnet20 {_SMALL} --train.iterations 30 --train.log_every 5 --train.evaluate_every 10 "
        "--train.checkpoint_every 10 --train.accumulation 2 --train.clip_norm 1.0 --train.label_smoothing 0.1 "
        "--train.ema_decay 0.9 --train.precision fp32 --train.fused_norm off --train.compile off --train.device cpu "
        "--optim.kind muon --optim.lr 0.05 --optim.other_lr 0.06 --optim.other_momentum 0.8 --schedule.kind one_cycle "
        "--schedule.rise 0.2 --warmup.kind none --data.augment.kind pad_crop --data.augment.padding 1 "
        "--data.augment.cutout_size 2 --data.augment.flip_order alternating --run-dir runs/muon",
    ),
    Step("train-plateau", "train digits-resnet20 --run-dir runs/plateau", settings=_PLATEAU),
    Step(
        "train-finetuned",
        "train digits-resnet20 --weights runs/resnet20 --train.iterations 12 --train.freeze_stages 1 "
        "--train.bn frozen --train.sync_bn false --train.monitor test --train.evaluate_every 6 --optim.layer_decay 0.7 "
        "--data.mean weights --schedule.kind cosine --warmup.kind none --run-dir runs/finetuned",
    ),
    Step(
        "train-parts",
        f"train imagenet-resnet18 --data @/parts --skip-unreadable {_NARROW} --train.iterations 6 "
        "--train.batch_size 8 --train.log_every 2 --train.evaluate_every 3 --train.checkpoint_every 3 "
        "--data.mean channel --data.augment.crop_size 32 --data.augment.min_short_side 36 "
        "--data.augment.max_short_side 48 --data.size 40 --data.fit letterbox --data.first_size 24 --data.val_is test "
        "--data.validation_size 6 --schedule.kind plateau --schedule.patience_evaluations 1 --run-dir runs/parts",
    ),
    Step("train-seeds", f"{_SEEDS} --jobs 2 --run-dir runs/seeds", prints="log"),
)

USING = (
    Step("train-resumed", "train --resume --run-dir runs/stopped"),
    Step("evaluate-center", "evaluate runs/resnet20 --top-k 3 --json", prints="json"),
    Step("evaluate-ten-crop", "evaluate runs/photos --protocol ten-crop --top-k 2 --json", prints="json"),
    Step("evaluate-sides", "evaluate runs/photos --protocol multi-scale --sides 64,80 --split validation"),
    Step("evaluate-both", "evaluate runs/seeds/0 runs/seeds/1 --protocol flip --split all --json", prints="json"),
    Step("evaluate-fit", "evaluate runs/parts --fit squash --split validation --json", prints="json"),
    Step("predict-json", "predict runs/photos @/photos/apple --top-k 3 --format json", prints="jsonl"),
    Step("predict-csv", "predict runs/parts @/parts/val --fit squash --format csv", prints="csv"),
    Step("predict-maps", "predict runs/photos @/photos/bell --explain maps --format json", prints="jsonl"),
    Step("calibrate", "calibrate runs/resnet20"),
    Step("evaluate-calibrated", "evaluate runs/resnet20 --split validation --json", prints="json"),
    Step("report-run", "report runs/resnet20"),
    Step("report-photos", "report runs/photos"),
    Step(
        "report-model",
        "report runs/resnet20/checkpoints/step-00000060/model.safetensors --data-kind digits --split validation "
        "--output checkpoint.html",
    ),
    Step("compare-json", "compare runs --json", prints="json"),
    Step("compare-html", "compare runs/plain20 runs/resnet20 --output compare.html", prints="log"),
    Step("compare-svg", "compare runs/seeds runs/muon --output compare.svg", prints="log"),
    Step("describe-all", "describe --all --json", prints="json"),
    Step("describe-one", "describe resnet50 --layers --json", prints="json"),
    Step("recipes", "recipes --json", prints="json"),
    Step("recipes-show", "recipes show cifar-resnet110", prints="toml"),
    Step("record-run", "record runs/resnet20"),
    Step("record-photos", "record runs/photos --no-model"),
    Step("data-check", "data check @/parts --json", prints="json", code=1),
)

HANDED_OVER = (
    Step("cross-resume-stopped", "train --resume --run-dir crossed/stopped"),
    Step("cross-resume-killed", "train --resume --run-dir crossed/killed"),
    Step("cross-resume-photos", "train --resume --run-dir crossed/photos-killed"),
    Step("cross-resume-plateau", "train --resume --run-dir crossed/plateau-killed"),
    Step("cross-resume-muon", "train --resume --run-dir crossed/muon-killed"),
    Step(
        "cross-resume-seeds",
        f"{_SEEDS} --resume --run-dir crossed/seeds",
    ),
    Step("cross-repeat", "train crossed/resnet20/config.json --train.iterations 6 --run-dir runs/repeated"),
    Step(
        "cross-start",
        "train digits-plain20 --weights crossed/model.safetensors --train.iterations 6 --run-dir runs/started",
    ),
    Step("cross-evaluate-run", "evaluate crossed/resnet20 --json", prints="json"),
    Step("cross-evaluate-model", "evaluate crossed/model.safetensors --data-kind digits --json", prints="json"),
    Step(
        "cross-evaluate-checkpoint",
        "evaluate crossed/plain20/checkpoints/step-00000050/model.safetensors --data-kind digits --json",
        prints="json",
    ),
    Step("cross-evaluate-photos", "evaluate crossed/photos --split validation --json", prints="json"),
    Step("cross-predict", "predict crossed/photos @/photos/apple --format csv", prints="csv"),
    Step("cross-predict-letterbox", "predict crossed/parts @/photos/bell --format json", prints="jsonl"),
    Step("cross-report-judged", "report crossed/resnet20"),
    Step("cross-report", "report crossed/plain20"),
    Step("cross-calibrate", "calibrate crossed/plain20"),
    Step("cross-compare", "compare crossed/resnet20 crossed/plain20 crossed/results --json", prints="json"),
    Step("cross-compare-html", "compare crossed/results crossed/stopped --output crossed.html", prints="log"),
    Step("cross-record", "record crossed/plain20 --results results-of-crossed"),
    Step("cross-record-again", "record crossed/resnet20 --results crossed/results"),
    Step("convert-photos", "convert crossed/photos.pt --source torchvision --output converted-photos.safetensors"),
    Step(
        "convert-digits",
        "convert crossed/plain20.pt --source cifar --mean 0.3 --std 0.35 --size 8 --classes a,b,c,d,e,f,g,h,i,j "
        "--output converted-digits.safetensors",
    ),
    Step("predict-converted", "predict converted-photos.safetensors @/photos/apple --format csv", prints="csv"),
)

# what is handed over as it is when the first steps are done, before any is used
UNTOUCHED = {
    "stopped": "runs/stopped",
    "plain20": "runs/plain20",
    "photos": "runs/photos",
    "parts": "runs/parts",
}
# what is handed over at the end: judged, calibrated and recorded
USED = {"resnet20": "runs/resnet20", "results": "results"}
# without what a run writes at its end, and without its newest checkpoint, as a kill would have left them
KILLED = {
    "killed": "runs/resnet20",
    "photos-killed": "runs/photos",
    "plateau-killed": "runs/plateau",
    "muon-killed": "runs/muon",
}

# a run of the reference and one of the current tree that must end with the same bits
SAME_RESULTS = (
    ("runs/resnet20", "runs/stopped"),
    ("runs/resnet20", "crossed/stopped"),
    ("runs/resnet20", "crossed/killed"),
    ("runs/photos", "crossed/photos-killed"),
    ("runs/plateau", "crossed/plateau-killed"),
    ("runs/muon", "crossed/muon-killed"),
    ("runs/seeds/0", "crossed/seeds/0"),
    ("runs/seeds/1", "crossed/seeds/1"),
)
