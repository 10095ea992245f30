"""`reslab bench`."""

import json as jsonlib
import sys
from contextlib import nullcontext, redirect_stdout
from typing import Annotated

from cyclopts import App, Parameter

from reslab.cli.config_args import choose, read_settings
from reslab.errors import UsageError

app = App(name="bench", help="Measure how fast this machine is at a recipe.")


@app.command(name="input")
def bench_input(
    recipe: str,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    data: str | None = None,
    data_kind: str | None = None,
    seconds: float = 5.0,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Measure disk, decoding, augmentation, transfer and network alone and together; name the bottleneck.

    Settings of the recipe can be changed as in 'reslab train'. Nothing is written.

    Parameters
    ----------
    recipe
        A recipe's name, or the config.json of a run.
    data
        A data set's folder or archive; by default it is looked for under RESLAB_DATA.
    data_kind
        What the data is (digits, cifar10, cifar100, idx, folder), instead of recognising it.
    seconds
        About how long to measure each stage.
    json
        Print JSON.
    """
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--seconds is {seconds:g}; allowed: a time above 0, like 5.")
    from reslab.runs.context import context_for_timing
    from reslab.runs.input_benchmark import bench_input as measure
    from reslab.runs.input_benchmark import describe_context

    with redirect_stdout(sys.stderr) if json else nullcontext():  # the reasons of a plan are no JSON
        chosen = choose(recipe, None, False, read_settings(recipe, overrides, data=data, data_kind=data_kind))
    context = context_for_timing(chosen)
    found = measure(context, seconds=seconds)
    if json:
        print(jsonlib.dumps(found.to_dict(), indent=2))
        return 0
    print(describe_context(context))
    for name, rate in found.rates.items():
        print(f"  {name + ' alone':<16}{rate:>10.0f} images/s")
    print(
        f"  {'together':<16}{found.together:>10.0f} images/s, {100 * found.waited:.0f} % of the time waiting for data"
    )
    print(f"bottleneck: {found.bottleneck}. What to do: {found.advice}.")
    return 0
