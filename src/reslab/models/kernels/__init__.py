"""Kernels in C++ for what costs most beside the convolutions; built when first needed, and never required."""

from .fused_norm import fused_norm, fused_norm_problem

__all__ = ["fused_norm", "fused_norm_problem"]
