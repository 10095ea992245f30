"""How the network is computed: on which device, in which precision, by which kernels."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeConfig:
    """Configure the engine that computes the network.

    "auto" in `precision`, `fused_norm` and `compile` is settled by a measurement at the start of a long run, which is
    cached for the next. Only one of `fused_norm` and `compile` can be "on"; it turns the other one off where that
    is "auto".

    Attributes:
        device: Where the network runs; "auto" takes a GPU if torch sees one.
        precision: "bf16" computes convolutions in bfloat16; "auto" considers it where the device has it natively.
            Weights and reported errors are float32 in either case.
        fused_norm: Batch norm, addition and ReLU as one operation, on CPUs; a C++ compiler builds the kernel.
        compile: torch.compile for each block; "auto" considers it for long runs on CUDA and on CPUs with AMX.
        checkpoint_activations: Recompute each block's activations in the backward pass, which saves memory.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    fused_norm: Literal["auto", "on", "off"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    checkpoint_activations: bool = False
