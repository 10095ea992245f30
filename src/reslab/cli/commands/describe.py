"""`reslab describe`: what a network is made of and what it costs, next to the paper's figures."""

import json as jsonlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from reslab.cli.output import print_table
from reslab.cli.types import MODEL, OUTPUT, JsonSwitch, Switch, WholeNumber
from reslab.errors import UsageError, counted

if TYPE_CHECKING:
    from reslab.analysis.complexity import Complexity, Layer
    from reslab.analysis.paper_counts import Expected, Outcome


def describe(
    name: str | None = None,
    /,
    *,
    all_networks: Annotated[Switch, Parameter(name="--all")] = False,
    num_classes: Annotated[WholeNumber | None, Parameter(group=MODEL)] = None,
    in_channels: Annotated[WholeNumber, Parameter(group=MODEL)] = 3,
    shortcut: Annotated[Literal["A", "B", "C"] | None, Parameter(group=MODEL)] = None,
    image_size: Annotated[WholeNumber | None, Parameter(group=MODEL)] = None,
    layers: Annotated[Switch, Parameter(group=OUTPUT)] = False,
    json: JsonSwitch = False,
) -> int:
    """Print a network's layers, output sizes, parameters and multiply-adds, next to the paper's numbers.

    Args:
        name: A network's name: resnet50, resnet50_v1_5, plain34, cifar_resnet20, cifar_plain56, vgg19, ...
        all_networks: Compare every network of the paper with its exact counts and printed figures; exit code 1 if one
            differs.
        num_classes: Classes; by default 1000, and 10 for CIFAR networks.
        in_channels: Channels of the images.
        shortcut: Shortcut option: A zero padding, B projection where dimensions change, C projection everywhere.
        image_size: Height and width of the image, in pixels; by default 224, and 32 for CIFAR networks.
        layers: Print every layer, not only the stages.
        json: Print JSON.
    """
    if all_networks == (name is not None):
        raise UsageError("name one network, or --all for the whole table: reslab describe resnet50")
    if all_networks:
        return _describe_all(json)
    from reslab.analysis.complexity import measure_complexity
    from reslab.analysis.paper_counts import expected_for
    from reslab.spec.families import model_spec

    assert name is not None
    if image_size is not None and image_size < 1:
        raise UsageError(f"--image-size is {image_size}; allowed: 1 pixel or more.")
    spec = model_spec(name, num_classes=num_classes, in_channels=in_channels, shortcut=shortcut)
    complexity = measure_complexity(spec, image_size)
    if json:
        print(jsonlib.dumps(asdict(complexity), indent=2))
        return 0
    _print_network(complexity, expected_for(spec), layers)
    return 0


def _print_network(complexity: "Complexity", expected: "Expected | None", every_layer: bool) -> None:
    spec = complexity.spec
    print(spec.label)
    print(f"weighted layers  {spec.depth}")
    print(f"blocks           {spec.block}, {' + '.join(map(str, spec.num_blocks))}")
    print(f"shortcuts        {_option(spec.shortcut)}, {complexity.num_projections} projections")
    print(f"parameters       {complexity.parameters:,}{_in_the_paper(expected, 'M')}")
    size = f"{complexity.image_size}x{complexity.image_size}"
    in_the_paper = _in_the_paper(expected, "G") if complexity.is_native_size else ""
    giga = complexity.multiply_adds / 1e9
    print(f"multiply-adds    {complexity.multiply_adds:,} ({giga:.3f} G) for one {size} image{in_the_paper}")
    print("                 (convolutions and fully connected layers)\n")
    rows = [_layer_row(layer) for layer in complexity.layers] if every_layer else _stage_rows(complexity)
    print_table("", ("layer", "kind", "output", "parameters", "multiply-adds"), rows, left=2)


def _option(shortcut: str) -> str:
    return "none (plain)" if shortcut == "none" else f"option {shortcut}"


def _in_the_paper(expected: "Expected | None", unit: str) -> str:
    """Return the paper's figure in words."""
    if expected is None or expected.paper is None:
        return "   (paper: no figure)"
    return f"   (paper: {expected.paper})" if expected.paper.endswith(unit) else ""


def _size(output: tuple[int, ...]) -> str:
    return "x".join(map(str, output))


def _layer_row(layer: "Layer") -> tuple[str, ...]:
    return (layer.name, layer.kind, _size(layer.output), f"{layer.parameters:,}", f"{layer.multiply_adds:,}")


def _stage_rows(complexity: "Complexity") -> list[tuple[str, ...]]:
    """One row for each stage, as in the paper's Table 1; batch norm's parameters are in the total only."""
    stages: dict[str, list[Layer]] = {}
    for layer in complexity.layers:
        stages.setdefault(layer.name.split(".")[0], []).append(layer)
    return [_stage_row(name, members) for name, members in stages.items()]


def _stage_row(name: str, members: "list[Layer]") -> tuple[str, ...]:
    if len(members) == 1:
        return _layer_row(members[0])
    main_path = [layer for layer in members if "downsample" not in layer.name]
    projections = len(members) - len(main_path)
    kind = f"{len(main_path)} layers" + (f" + {counted(projections, 'projection')}" if projections else "")
    parameters, multiply_adds = (
        sum(getattr(layer, key) for layer in members) for key in ("parameters", "multiply_adds")
    )
    return (name, kind, _size(main_path[-1].output), f"{parameters:,}", f"{multiply_adds:,}")


def _describe_all(json: bool) -> int:
    from reslab.analysis.paper_counts import TOLERANCE, check_counts

    outcomes = check_counts()
    bad = [outcome for outcome in outcomes if not outcome.is_ok]
    if json:
        rows = [
            {**asdict(outcome), "paper_deviation": outcome.paper_deviation, "is_ok": outcome.is_ok}
            for outcome in outcomes
        ]
        print(jsonlib.dumps(rows, indent=2))
        return 1 if bad else 0
    columns = (
        "network",
        "option",
        "parameters",
        "exact",
        "multiply-adds",
        "exact",
        "projections",
        "paper",
        "off by",
        "ok",
    )
    print_table("", columns, [_outcome_row(outcome) for outcome in outcomes], left=2)
    print(
        f"{len(outcomes) - len(bad)} of {len(outcomes)} networks have the exact counts"
        f" and are within {TOLERANCE:.0%} of the paper's printed figure."
    )
    return 1 if bad else 0


def _outcome_row(outcome: "Outcome") -> tuple[str, ...]:
    expected = outcome.expected
    deviation = outcome.paper_deviation
    classes = f" ({expected.num_classes} classes)" if expected.num_classes else ""
    return (
        expected.name + classes,
        expected.shortcut or "-",
        f"{outcome.parameters:,}",
        f"{expected.parameters:,}",
        f"{outcome.multiply_adds:,}",
        f"{expected.multiply_adds:,}",
        f"{outcome.num_projections}",
        expected.paper or "-",
        "-" if deviation is None else f"{deviation:+.1%}",
        "yes" if outcome.is_ok else "NO",
    )
