"""`reslab convert`."""

import errno
import json
import shlex
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from reslab.cli.types import MODEL, OUTPUT, VIEWS, WholeNumber
from reslab.errors import NotConverted, RunError, UsageError


def convert(
    file: str,
    /,
    *,
    output: Annotated[Path, Parameter(alias="-o", group=OUTPUT)],
    arch: Annotated[str | None, Parameter(group=MODEL)] = None,
    source: Annotated[Literal["torchvision", "timm", "cifar"] | None, Parameter(group=MODEL)] = None,
    ema: Annotated[bool | None, Parameter(group=MODEL)] = None,
    classes: Annotated[str | None, Parameter(group=MODEL)] = None,
    mean: Annotated[str | None, Parameter(group=VIEWS)] = None,
    std: Annotated[str | None, Parameter(group=VIEWS)] = None,
    size: Annotated[WholeNumber | None, Parameter(group=VIEWS)] = None,
    short_side: Annotated[WholeNumber | None, Parameter(group=VIEWS)] = None,
) -> int:
    """Convert weights from torchvision, timm or commonly used CIFAR code into a model file.

    Use --arch or --source to say what the shapes of tensors do not show: where a bottleneck has its stride, and how a
    shortcut without weights pads. Nothing in the file is executed, and nothing is loaded unless everything matches.

    Args:
        file: A state dict or checkpoint: .safetensors, or what torch.save wrote. Or a name on the Hugging Face hub
            (hf-hub:OWNER/NAME[@REVISION]), whose config.json describes the network.
        output: The model file to write.
        arch: The network's name in reslab, like resnet50, resnet50_v1_5 or cifar_resnet20.
        source: Where the file comes from.
        classes: Class names: a file with one on each line (or a JSON list), or names with commas between them.
        mean: Mean of each channel, for pixels in [0, 1]: 0.485,0.456,0.406.
        std: Standard deviation of each channel: 0.229,0.224,0.225.
        size: Side of the input in pixels.
        short_side: Resize the shorter side to this many pixels before the centre is cropped.
        ema: Which weights of a checkpoint that has both: their average (--ema) or the weights themselves (--no-ema).
    """
    from reslab.weights.convert import convert_weights
    from reslab.weights.hub import convert_from_hub, is_hub_name

    if not is_hub_name(file):
        convert_into = partial(convert_weights, Path(file), arch=arch, source=source)
    elif arch is None and source is None:
        convert_into = partial(convert_from_hub, file)
    else:
        raise UsageError(f"{file}: its config.json says the network and the source; leave --arch and --source out.")
    done = convert_into(
        output,
        class_names=None if classes is None else read_names(classes),
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        size=size,
        short_side=short_side,
        use_ema=ema,
    )
    print(f"network: {done.spec.label}, {done.spec.num_classes} classes")
    print(f"matched: {done.num_tensors} tensors, {done.num_parameters:,} parameters")
    for note in done.notes:
        print(f"assumed: {note}")
    print(f"model file: {done.path}")
    return 0


def conversion_command(error: NotConverted) -> str:
    """Return the command that converts the weights named by an error."""
    output = error.path.with_name(f"{error.path.stem}-reslab.safetensors")
    command = f"reslab convert {shlex.quote(str(error.path))} -o {shlex.quote(str(output))} --source {error.source}"
    return f"{command} --ema" if error.use_ema else command


def read_names(text: str) -> list[str]:
    """Return the class names in a file, or those in `text` itself, between commas."""
    path = Path(text)
    if not _is_file(path):
        if "," not in text:
            raise UsageError(f"--classes is {text!r}: neither a file nor names with commas between them.")
        return [name.strip() for name in text.split(",")]
    try:
        content = path.read_text(encoding="utf-8-sig")  # as editors on Windows save it
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8.") from None
    if path.suffix != ".json":
        return [line.strip() for line in content.splitlines() if line.strip()]
    try:
        names = json.loads(content)
    except json.JSONDecodeError as error:
        raise RunError(f"{path}: is not JSON: {error}.") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RunError(f"{path}: is not a JSON list of names.")
    return names


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # a list of names
            return False
        raise


def _numbers(flag: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{flag} is {text!r}; allowed: numbers with commas between them, like 0.5,0.5,0.5.") from None
