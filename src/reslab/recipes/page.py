"""What is printed beside a recipe: its source, what to expect, what it costs, and where it differs from the paper."""

from dataclasses import asdict, dataclass
from typing import Any

# test error in %: paper Table 6; plain nets have no table (Fig. 6 shows about these, and above 60 for 110 layers)
_CIFAR_RESNET_ERROR = {
    20: "8.75",
    32: "7.51",
    44: "7.17",
    56: "6.97",
    110: "6.43 (6.61 ± 0.16, 5 runs)",
    1202: "7.93",
}
_CIFAR_PLAIN_ERROR = {20: "about 9.5", 32: "about 10", 44: "about 12", 56: "about 13.5", 110: "above 60"}
# top-1 error in %, 10-crop, validation set: paper Tables 2 and 3
_IMAGENET_ERROR = {
    ("plain", 18): "27.94", ("plain", 34): "28.54", ("resnet", 18): "27.88 (option A)", ("resnet", 34): "24.52",
    ("resnet", 50): "22.85", ("resnet", 101): "21.75", ("resnet", 152): "21.43",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """source: where in the paper; expected: its result; cost: in images; differences: from the paper, in words."""

    source: str
    expected: str
    cost: str
    differences: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_COMMON_DIFFERENCES = (
    "initialisation: fan-in variance (ref. 13, Eq. 10) for convolutions; the paper does not say which form",
    "weight decay on all parameters, batch norm's too; the paper does not say (--optim.decay_norm_and_bias false)",
    "momentum as torch and fb.resnet.torch have it (lr outside the velocity); Caffe's has lr inside",
    "batch-norm statistics at test time are moving averages (momentum 0.1); the authors' released models averaged anew",
)


def cifar_page(kind: str, depth: int) -> Page:
    """Return the page of `cifar-{kind}{depth}`."""
    if kind == "resnet":
        expected = f"test error {_CIFAR_RESNET_ERROR[depth]} % (Table 6)"
    elif depth in _CIFAR_PLAIN_ERROR:
        expected = f"test error {_CIFAR_PLAIN_ERROR[depth]} % (read from Fig. 6; no table)"
    else:
        expected = "not in the paper: plain nets end at 110 layers (Fig. 6)"
    differences = (
        "batch-norm statistics over the whole batch of 128; two GPUs had 64 each (--train.bn_group_size 64)",
        "padding is zero after the mean is subtracted; the paper does not say (--data.augment.fill black)",
        "trained on all 50,000 images; a 45k/5k split served to find the schedule (--data.validation_size 5000)",
        "the test curve is for the figure only: the last weights are the result",
        *_COMMON_DIFFERENCES,
    )
    warmup = "; lr 0.01 until the training error of a window of 100 iterations is below 80 %" if depth >= 110 else ""
    return Page(
        f"Sec. 4.2, Table 6, Fig. 6{warmup}", expected, "64,000 iterations of 128 images: 8.2 M images", differences
    )


def cifar_fast_page(kind: str, depth: int, epochs: int) -> Page:
    """Return the page of `cifar-{kind}{depth}-fast`."""
    differences = (
        "Muon on the convolutions inside (Jordan et al. 2024), Nesterov SGD on the stem, the norms and the last layer",
        "one learning-rate cycle that falls in a line to 0 instead of two drops",
        "images of 20x20 pixels at first, then 24x24, 28x28 and, for the last quarter, 32x32",
        "flips alternate from epoch to epoch (Jordan 2024, airbench), borders are reflected, one mean for each channel",
        "the network and its initialisation are the paper's; the last weights are the result, nothing is selected",
    )
    if (kind, depth) == ("resnet", 20):
        expected = "test error near the 8.75 % that Table 6 has for the paper's own recipe"
    else:
        expected = "not measured: the recipe was sought for ResNet-20"
    return Page("the networks of Sec. 4.2, another recipe", expected, f"{epochs} epochs of 50,000 images", differences)


def cifar_small_page() -> Page:
    """Return the page of `cifar-...-small`."""
    differences = (
        "2,344 iterations (6 epochs) instead of 64,000; drops at half and three quarters, where the paper has them",
        "a linear warm-up of 100 iterations for every depth; the paper warms up 110 layers and more, until 80 % error",
        *_COMMON_DIFFERENCES,
    )
    expected = "not in the paper: for comparisons between networks (docs/results), not for their best error"
    return Page(
        "in small what Sec. 4.2, Table 6 and Fig. 6 show", expected, "2,344 iterations of 128 images", differences
    )


def digits_page(kind: str, depth: int) -> Page:
    """Return the page of `digits-{kind}{depth}`."""
    expected = {
        ("plain", 20): "training error near 0",
        ("plain", 56): "training error far above its 20-layer twin: degradation",
        ("resnet", 20): "training error near 0",
        ("resnet", 56): "training error near 0: no degradation",
    }[kind, depth]
    differences = (
        "another data set: 8x8 grey digits (UCI, 1,078 training images) instead of CIFAR-10",
        "batch 64, lr 0.05 after a linear warm-up of 85 iterations, 510 iterations in all, no augmentation",
    )
    return Page("none; in small what Sec. 4.2 and Fig. 6 show", expected, "510 iterations of 64 images", differences)


def imagenet_page(kind: str, depth: int) -> Page:
    """Return the page of `imagenet-{kind}{depth}`."""
    differences = (
        "the plateau is of a held-out validation part's error, never of the set the result is reported on",
        "batch-norm statistics over each process's part of the batch; the authors' eight GPUs had 32 each",
        "the per-pixel mean comes from the centre views of at most 10,000 training images",
        "the reported number is the single centre crop; the paper's tables are 10-crop",
        *_COMMON_DIFFERENCES,
    )
    expected = f"top-1 error {_IMAGENET_ERROR[kind, depth]} % (10-crop, Tables 2 and 3)"
    return Page("Sec. 3.4 and 4.1", expected, "600,000 iterations of 256 images: 154 M images", differences)


def folder_page() -> Page:
    """Return the page of `folder`, which is planned for each folder of photos anew."""
    differences = (
        "random parts of each picture, resized (Szegedy et al. 2015), in views that grow during the run",
        "Nesterov SGD with one learning-rate cycle and label smoothing 0.1",
        "the result is the checkpoint with the lowest validation error; the test part is looked at once, at the end",
        "network, size, epochs and batch are picked from the data and the machine, and printed with the reasons",
    )
    return Page(
        "none; photos of your own",
        "depends on the photos",
        "about an hour on a CPU for ten thousand photos",
        differences,
    )
