"""Where recipes deviate from the paper although they follow it: one list for their notes and for the docs."""

from collections.abc import Callable
from dataclasses import dataclass

from reslab.config import PadCrop, Plateau, RunConfig, Sgd, UntilTrainingError

_DEEPEST = 1202


@dataclass(frozen=True, slots=True)
class Deviation:
    """Describe one deviation from the paper: a row of a table, in Markdown.

    Attributes:
        what: The subject.
        paper: What the paper does.
        here: What the recipe does.
        why: The reason, and the setting that does otherwise.
        applies: Whether a config deviates.
    """

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


DEVIATIONS = (
    Deviation(
        "training images of CIFAR-10",
        'end of training "determined on a 45k/5k train/val split"; it does not say whether results are of 45k or 50k',
        "all 50,000",
        "the schedule is given. `--data.validation_size 5000` follows the other reading; a record says which",
        lambda config: _is_cifar(config) and config.data.validation_size == 0,
    ),
    Deviation(
        "which weights are the result",
        'does not say; Table 6 has single numbers, and "best (mean±std)" of five runs for 110 layers',
        "the last weights; a test curve is drawn for the figure only",
        "the test error must not select the weights that it judges",
        lambda config: config.evaluation.select == "last",
    ),
    Deviation(
        "padding of the crops",
        "does not say",
        "zero after the mean is subtracted",
        "as fb.resnet.torch; `--data.augment.fill black` follows the other reading",
        _pads_with_zero,
    ),
    Deviation(
        "batch norm on CIFAR",
        "two GPUs, so over 64 samples",
        "over the batch of 128",
        "one process is the usual case; `--batch_norm.group_size 64` does as the paper",
        lambda config: _is_cifar(config) and config.batch_norm.group_size is None,
    ),
    Deviation(
        "batch norm on photos",
        "ImageNet on eight GPUs, so over 32 samples (the authors' notes to their models)",
        "over each process's part of the batch",
        "one process is the usual case; `--batch_norm.group_size 32` does as the paper",
        lambda config: _has_images_of_files(config) and config.batch_norm.group_size is None,
    ),
    Deviation(
        "batch norm at test time",
        "released models: averages over a large batch after training",
        "moving averages, momentum 0.1",
        "as torch; the authors saw a variation below 0.1 %",
        lambda config: True,
    ),
    Deviation(
        "momentum",
        "Caffe: `v = m v + lr g; w -= v`",
        "`v = m v + g; w -= lr v`",
        "as torch and fb.resnet.torch; the two differ for some steps after a change of the learning rate",
        _is_plain_sgd,
    ),
    Deviation(
        "weight decay",
        "1e-4; does not say on which parameters",
        "on all parameters, batch norm's too",
        "as fb.resnet.torch; `--optim.decay_norm_and_bias false` follows the other reading",
        _decays_all,
    ),
    Deviation(
        "initialisation",
        '"as in [13]"; does not say which form',
        "fan-in (Eq. 10 of [13]); last layer with variance 1 / fan-in",
        "[13] says either form suffices; no ReLU follows the last layer",
        lambda config: config.weights is None,
    ),
    Deviation(
        "input scale",
        "pixels 0 to 255, mean subtracted",
        "pixels 0 to 1, mean subtracted",
        "with batch norm after the first convolution the output does not depend on it",
        lambda config: config.data.scale == "none",
    ),
    Deviation(
        "where option A's zeros go",
        "does not say",
        "after the input's channels",
        "as fb.resnet.torch; `--model.zero_pad split` does as other code",
        lambda config: config.model.shortcut == "A" and config.model.zero_pad == "after",
    ),
    Deviation(
        "ResNet-18's shortcuts",
        "option A (Table 2)",
        "option B: three projections, 0.17 M parameters more",
        "one option for all depths, that of the paper's 50 layers and more; `--model.shortcut A` does as Table 2",
        _is_resnet18_of_option_b,
    ),
    Deviation(
        "precision",
        "does not say; Caffe's is fp32",
        "bf16 autocast where the device has it natively and is not slower with it; weights and reported errors in fp32",
        "speed; `--compute.precision fp32` turns it off",
        lambda config: config.compute.precision == "auto",
    ),
    Deviation(
        "warm-up of 1202 layers",
        '"trained as described above"',
        "as for 110 layers",
        "the likelier reading",
        lambda config: config.model.depth >= _DEEPEST and isinstance(config.warmup, UntilTrainingError),
    ),
    Deviation(
        "order of the data",
        "reshuffled every epoch (the authors' notes to their models)",
        "the same, as one endless stream: every batch is full and may span two epochs",
        "the step number then says the position, so that resuming is exact",
        lambda config: True,
    ),
    Deviation(
        "max-pool of the ImageNet stem",
        "Caffe: no padding, rounded up",
        "padding 1, rounded down",
        "as torch; same size, windows shifted by one. It matters only for converting the authors' weights",
        lambda config: config.model.family == "imagenet",
    ),
    Deviation(
        "ImageNet's plateau",
        'follows "the error"; does not say which',
        "follows the validation error: that of the folder's `val`, on which the result is reported too, or of 50,000 "
        "images held out",
        "ImageNet's test labels are not public; `--data.validation_is test` keeps `val` for the end and holds "
        "validation out",
        lambda config: isinstance(config.schedule, Plateau),
    ),
    Deviation(
        "ImageNet's mean",
        "over all training images",
        "centre views of at most 10,000 of them",
        "one pass over a sample is fast; the difference was not measured",
        _averages_sampled_photos,
    ),
    Deviation(
        "reported error of photos",
        "10-crop in Tables 2 and 3",
        "a single centre crop",
        "usual today, at a tenth of the cost; `reslab evaluate --protocol ten-crop` does as the paper for `imagenet-*`",
        _has_images_of_files,
    ),
)


def deviations_of(config: RunConfig) -> tuple[Deviation, ...]:
    """Return the deviations of a config, in the order of the list."""
    return tuple(deviation for deviation in DEVIATIONS if deviation.applies(config))
