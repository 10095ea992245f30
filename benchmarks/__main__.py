"""`python -m benchmarks [NAME ...]`: run the benchmarks (all by default) and write results/bench/NAME.json.

They need RESLAB_DATA with CIFAR-10 and imagenette-128, the extras onnx and openvino, and a machine with nothing else
to do.
"""

import sys
from collections.abc import Callable

from . import depth, input_stages, machine, profile_step
from .contest import Contestant, hold


def cifar() -> None:
    contestants = [
        Contestant("public trainer", "fp32, NCHW, Pillow transforms, 4 loader processes", "cifar_public"),
        Contestant("modern flags", "bf16 autocast, channels_last, crops by tensor operations", "cifar_modern"),
        Contestant("modern flags, compiled", "the same under torch.compile", "cifar_compiled"),
        Contestant("reslab", "`reslab train cifar-resnet20`", "cifar_reslab"),
    ]
    hold("cifar", "ResNet-20 on CIFAR-10, batch 128, training with its input pipeline", contestants)


def photos() -> None:
    contestants = [
        Contestant(
            "torchvision's loader and loop",
            "Pillow, 2 loader processes, bf16 autocast, channels_last",
            "photos_peer",
        ),
        Contestant("reslab", "`reslab train imagenet-resnet18`", "photos_reslab"),
    ]
    hold("photos", "ResNet-18 on Imagenette files, 112 px, batch 64, training with its input pipeline", contestants)


def large() -> None:
    contestants = [
        Contestant("torchvision's reference", "fp32, NCHW", "large_reference"),
        Contestant("timm's best flags", "bf16 autocast, channels_last", "large_timm"),
        Contestant("reslab", "`reslab train imagenet-resnet50`, stride on the 3x3", "large_reslab"),
    ]
    hold("large", "ResNet-50 at 224 px, batch 32, training step", contestants, rounds=4, seconds=12)


def inference() -> None:
    contestants = [
        Contestant("torch", "eager, fp32", "inference_eager"),
        Contestant("torch.compile", "bf16 autocast, channels_last", "inference_compiled"),
        Contestant("ONNX Runtime", "its defaults", "inference_onnxruntime"),
        Contestant("OpenVINO", "its defaults", "inference_openvino"),
        Contestant("reslab", '`reslab.load(path, engine="auto")`', "inference_reslab"),
    ]
    hold("inference", "ResNet-50 at 224 px, batch 16, inference", contestants, seconds=5)


BENCHMARKS: dict[str, Callable[[], None]] = {
    "machine": machine.main,
    "profile": profile_step.main,
    "cifar": cifar,
    "photos": photos,
    "large": large,
    "inference": inference,
    "depth": depth.main,
    "input": input_stages.main,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks; return the exit code."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
