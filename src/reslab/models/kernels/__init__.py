"""C++ kernels for the element-wise part of a training step, compiled when first needed and never required."""

from .fused_norm import fused_norm, fused_norm_problem

__all__ = ["fused_norm", "fused_norm_problem"]
