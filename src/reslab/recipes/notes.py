"""What is printed with a recipe: its source, what to expect, what it costs, and where it differs from the paper."""

from dataclasses import dataclass, replace

# test error: paper Table 6; plain nets have no table (Fig. 6 shows about these, and above 60 for 110 layers)
_CIFAR_RESNET_ERROR = {
    20: "8.75 % (Table 6)",
    32: "7.51 % (Table 6)",
    44: "7.17 % (Table 6)",
    56: "6.97 % (Table 6)",
    110: "6.43 % (Table 6: the best of 5 runs; their mean 6.61 ± 0.16 %)",
    1202: "7.93 % (Table 6)",
}
_CIFAR_PLAIN_ERROR = {20: "about 9.5", 32: "about 10", 44: "about 12", 56: "about 13.5", 110: "above 60"}
# top-1 error, 10-crop, validation set, and where it stands
_IMAGENET_ERROR = {
    ("plain", 18): "27.94 % (10-crop, Table 2)",
    ("plain", 34): "28.54 % (10-crop, Tables 2 and 3)",
    ("resnet", 18): "27.88 % (10-crop, Table 2: option A)",
    ("resnet", 34): "24.52 % (10-crop, Table 3: option B)",
    ("resnet", 50): "22.85 % (10-crop, Table 3)",
    ("resnet", 101): "21.75 % (10-crop, Table 3)",
    ("resnet", 152): "21.43 % (10-crop, Table 3)",
}


@dataclass(frozen=True, slots=True)
class Notes:
    """What the paper reports about a recipe, and what to expect from it.

    Attributes:
        source: Where the set-up stands in the paper.
        expected: The result to expect, in words.
        cost: What the training costs, in images.
        differences: How the set-up differs from the paper by design; a recipe's notes end with those of its settings.
        paper_error: The paper's error of this network and data with its source; None where the paper has none.
    """

    source: str
    expected: str
    cost: str
    differences: tuple[str, ...] = ()
    paper_error: str | None = None

    def with_differences(self, differences: tuple[str, ...]) -> "Notes":
        """Return the notes with more differences after their own."""
        return replace(self, differences=self.differences + differences)


def cifar_notes(kind: str, depth: int) -> Notes:
    """Return the notes of `cifar-{kind}{depth}`."""
    error = _cifar_error(kind, depth)
    expected = f"test error {error}" if error else "not in the paper: plain nets end at 110 layers (Fig. 6)"
    warmup = "; lr 0.01 until the training error of a window of 100 iterations is below 80 %" if depth >= 110 else ""
    cost = "64,000 iterations of 128 images: 8.2 M images"
    return Notes(f"Sec. 4.2, Table 6, Fig. 6{warmup}", expected, cost, paper_error=error)


def _cifar_error(kind: str, depth: int) -> str | None:
    if kind == "resnet":
        return _CIFAR_RESNET_ERROR[depth]
    if depth in _CIFAR_PLAIN_ERROR:
        return f"{_CIFAR_PLAIN_ERROR[depth]} % (read from Fig. 6; no table)"
    return None


def cifar_fast_notes(kind: str, depth: int, epochs: int) -> Notes:
    """Return the notes of `cifar-{kind}{depth}-fast`."""
    differences = (
        "Muon on the convolutions inside (Jordan et al. 2024), Nesterov SGD on the stem, the norms and the last layer",
        "one learning-rate cycle that falls in a line to 0 instead of two drops",
        "images of 20x20 pixels at first, then 24x24, 28x28 and, for the last quarter, 32x32",
        "flips alternate from epoch to epoch (Jordan 2024, airbench), borders are reflected",
        "one mean for each channel is subtracted, and its deviation divided by",
        "weight decay 5e-4, and none on the convolutions that Muon trains",
    )
    if (kind, depth) == ("resnet", 20):
        expected = "test error near the 8.75 % that Table 6 has for the paper's own recipe"
    else:
        expected = "not measured: the recipe was tuned for ResNet-20"
    cost = f"{epochs} epochs of 50,000 images"
    error = _cifar_error(kind, depth)
    return Notes("the networks of Sec. 4.2, another recipe", expected, cost, differences, error)


def cifar_small_notes() -> Notes:
    """Return the notes of `cifar-...-small`."""
    differences = (
        "2,344 iterations (6 epochs) instead of 64,000; drops at half and three quarters, where the paper has them",
        "a linear warm-up of 100 iterations for every depth; the paper warms up 110 layers and more, until 80 % error",
    )
    expected = "not in the paper: for comparisons between networks (docs/results), not for their best error"
    return Notes(
        "in small what Sec. 4.2, Table 6 and Fig. 6 show", expected, "2,344 iterations of 128 images", differences
    )


def digits_notes(kind: str, depth: int) -> Notes:
    """Return the notes of `digits-{kind}{depth}`."""
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
    return Notes("none; in small what Sec. 4.2 and Fig. 6 show", expected, "510 iterations of 64 images", differences)


def imagenet_notes(kind: str, depth: int) -> Notes:
    """Return the notes of `imagenet-{kind}{depth}`."""
    cost = "600,000 iterations of 256 images: 154 M images"
    error = _IMAGENET_ERROR[kind, depth]
    return Notes("Sec. 3.4 and 4.1", f"top-1 error {error}", cost, paper_error=error)


def folder_notes() -> Notes:
    """Return the notes of `folder`, which is planned for each folder of photos."""
    differences = (
        "random parts of each picture, resized (Szegedy et al. 2015), in views that grow during the run",
        "Nesterov SGD with one learning-rate cycle and label smoothing 0.1; no weight decay on batch norm and biases",
        "one mean for each channel is subtracted, and its deviation divided by",
        "the result is the checkpoint with the lowest validation error; the test part is evaluated once, at the end",
        "network, size, epochs and batch are picked from the data and the machine, and printed with the reasons",
    )
    return Notes(
        "none; photos of your own",
        "depends on the photos",
        "about an hour on a CPU for ten thousand photos",
        differences,
    )
