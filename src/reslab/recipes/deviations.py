"""Where recipes differ from the paper though they mean to do as it does: one list for their pages and for the docs."""

from collections.abc import Callable
from dataclasses import dataclass

from reslab.config import PadCrop, Plateau, RunConfig, Sgd, UntilTrainingError

_DEEPEST = 1202


@dataclass(frozen=True, slots=True)
class Difference:
    """what, paper, here, why: a row in Markdown; applies: whether a configuration has it."""

    what: str
    paper: str
    here: str
    why: str
    applies: Callable[[RunConfig], bool]

    def sentence(self) -> str:
        """Return the row as plain text."""
        return f"{self.what}: {self.here}. Paper: {self.paper}. Why: {self.why}".replace("`", "")


def _is_cifar(config: RunConfig) -> bool:
    return config.data.kind in ("cifar10", "cifar100")


def _has_images_of_files(config: RunConfig) -> bool:
    return config.data.kind == "folder"


def _is_plain_sgd(config: RunConfig) -> bool:
    return isinstance(config.optim, Sgd) and not config.optim.nesterov


def _decays_all(config: RunConfig) -> bool:
    return isinstance(config.optim, Sgd) and config.optim.decay_norm_and_bias


def _pads_with_zero(config: RunConfig) -> bool:
    return isinstance(config.data.augment, PadCrop) and config.data.augment.fill == "mean"


def _is_resnet18_of_option_b(config: RunConfig) -> bool:
    model = config.model
    return model.family == "imagenet" and model.depth == 18 and model.shortcut == "B"


def _averages_sampled_photos(config: RunConfig) -> bool:
    return _has_images_of_files(config) and config.data.mean == "pixel"


DIFFERENCES = (
    Difference(
        "training images of CIFAR-10",
        'end of training "determined on a 45k/5k train/val split"; whether results are of 45k or 50k, not said',
        "all 50,000",
        "the schedule is given; `--data.validation_size 5000` is the other reading. The record states the size",
        lambda config: _is_cifar(config) and config.data.validation_size == 0,
    ),
    Difference(
        "which weights are the result",
        'not said; Table 6 has single numbers, and "best (mean±std)" of five runs for 110 layers',
        "the last weights, always; a test curve is for the figure only",
        "choosing by the test error is no result",
        lambda config: config.evaluation.select == "last",
    ),
    Difference(
        "padding of the crops",
        "not said",
        "zero after the mean is subtracted",
        "as fb.resnet.torch; `--data.augment.fill black` is the other reading",
        _pads_with_zero,
    ),
    Difference(
        "batch norm on CIFAR",
        "two GPUs, so over 64 samples",
        "over the batch of 128",
        "one process is the usual case; `--batch_norm.group_size 64` computes the paper's",
        lambda config: _is_cifar(config) and config.batch_norm.group_size is None,
    ),
    Difference(
        "batch norm on photos",
        "ImageNet on eight GPUs, so over 32 samples (the authors' notes to their models)",
        "over each process's part of the batch",
        "one process is the usual case; `--batch_norm.group_size 32` computes the paper's",
        lambda config: _has_images_of_files(config) and config.batch_norm.group_size is None,
    ),
    Difference(
        "batch norm at test time",
        "released models: averages over a large batch after training",
        "moving averages, momentum 0.1",
        "torch's way; the authors saw a variation below 0.1 %",
        lambda config: True,
    ),
    Difference(
        "momentum",
        "Caffe: `v = m v + lr g; w -= v`",
        "`v = m v + g; w -= lr v`",
        "as torch and fb.resnet.torch; the two differ for some steps after a change of the learning rate",
        _is_plain_sgd,
    ),
    Difference(
        "weight decay",
        "1e-4, not said on what",
        "on all parameters, batch norm's too",
        "as fb.resnet.torch; `--optim.decay_norm_and_bias false` is the other reading",
        _decays_all,
    ),
    Difference(
        "initialisation",
        '"as in [13]", not said which form',
        "fan-in (Eq. 10 of [13]); last layer with variance 1 / fan-in",
        "[13] says either form suffices; no ReLU follows the last layer",
        lambda config: config.weights is None,
    ),
    Difference(
        "input scale",
        "pixels 0 to 255, mean subtracted",
        "pixels 0 to 1, mean subtracted",
        "with batch norm after the first convolution the output does not depend on it",
        lambda config: config.data.scale == "none",
    ),
    Difference(
        "where option A's zeros go",
        "not said",
        "after the input's channels",
        "as fb.resnet.torch; `--model.zero_pad split` is other code's way",
        lambda config: config.model.shortcut == "A" and config.model.zero_pad == "after",
    ),
    Difference(
        "ResNet-18's shortcuts",
        "option A (Table 2)",
        "option B: three projections, 0.17 M parameters more",
        "one option for all depths, that of the paper's 50 layers and more; `--model.shortcut A` is Table 2's",
        _is_resnet18_of_option_b,
    ),
    Difference(
        "precision",
        "not said; Caffe's is fp32",
        "bf16 autocast where the device has it natively and is not slower by it; weights and reported errors in fp32",
        "speed; `--compute.precision fp32` does without",
        lambda config: config.compute.precision == "auto",
    ),
    Difference(
        "warm-up of 1202 layers",
        '"trained as described above"',
        "as for 110 layers",
        "the likelier reading",
        lambda config: config.model.depth >= _DEEPEST and isinstance(config.warmup, UntilTrainingError),
    ),
    Difference(
        "order of the data",
        "reshuffled every epoch (the authors' notes to their models)",
        "the same, as one endless stream: batches are always full and may straddle two epochs",
        "position is then the step number, and a resume is exact",
        lambda config: True,
    ),
    Difference(
        "max-pool of the ImageNet stem",
        "Caffe: no padding, rounded up",
        "padding 1, rounded down",
        "torch's way; same size, windows shifted by one; matters only for porting the authors' weights",
        lambda config: config.model.family == "imagenet",
    ),
    Difference(
        "ImageNet's plateau",
        'of "the error", not said which',
        "of the validation part: the folder's `val`, which the result is reported on too, else 50,000 held out",
        "ImageNet's test labels are not public; `--data.validation_is test` keeps `val` for the end and holds "
        "validation out",
        lambda config: isinstance(config.schedule, Plateau),
    ),
    Difference(
        "ImageNet's mean",
        "over all training images",
        "centre views of at most 10,000 of them",
        "one pass over a sample is enough for a first version; the difference was not measured",
        _averages_sampled_photos,
    ),
    Difference(
        "reported error of photos",
        "10-crop in Tables 2 and 3",
        "a single centre crop",
        "usual since, a tenth of the cost; of `imagenet-*`, `reslab evaluate --protocol ten-crop` is the paper's",
        _has_images_of_files,
    ),
)


def differences_of(config: RunConfig) -> tuple[Difference, ...]:
    """Return those that a configuration has, in the order of the list."""
    return tuple(one for one in DIFFERENCES if one.applies(config))
