"""Each stage of the input of Imagenette's photos, alone and together, as `reslab bench input` measures them."""

from dataclasses import asdict

from reslab import override, recipe
from reslab.runs.context import context_for_timing
from reslab.runs.input_benchmark import bench_input, describe_context

from .contest import save
from .work import PHOTO_BATCH, PHOTOS, photos_folder


def main() -> None:
    """Measure and write results/bench/input.json."""
    changes = {
        "data": {"path": str(photos_folder()), "kind": "folder", "augment": PHOTOS},
        "train": {"batch_size": PHOTO_BATCH},
    }
    config = override(recipe("imagenet-resnet18"), changes)
    context = context_for_timing(config)
    save("input", {"title": describe_context(context), **asdict(bench_input(context))})


if __name__ == "__main__":
    main()
