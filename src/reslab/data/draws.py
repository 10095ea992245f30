"""Random draws that are a function of (seed, purpose, epoch, index) only.

A counter-based generator needs no state: any sample's draws can be computed at any time, in any process, on any
device, with the same result. Therefore a resumed run is exact, and a change of world size changes nothing.
"""

import torch
from torch import Tensor

# one stream of draws for each purpose; a changed number would make old runs impossible to repeat
ORDER, CROP_Y, CROP_X, FLIP, SCALE, COLOR, SPLIT, SAMPLE, CUTOUT_Y, CUTOUT_X = range(10)
AREA, ASPECT, OPERATIONS, ERASE, ERASE_AREA, ERASE_ASPECT, ERASE_Y, ERASE_X, MIX, CLASS_ORDER, MEMBER = range(10, 21)

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _signed(value: int) -> int:
    """Return the int64 with the low 64 bits of `value`."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _shift_right(x: Tensor, bits: int) -> Tensor:
    # `>>` on int64 copies the sign bit; the hash needs zeros
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """Apply the finalizer of SplitMix64 (Steele, Lea, Flood 2014), whose products wrap around as int64 does."""
    x = (x ^ _shift_right(x, 30)) * _signed(_MIX_1)
    x = (x ^ _shift_right(x, 27)) * _signed(_MIX_2)
    return x ^ _shift_right(x, 31)


def draw_bits(seed: int, purpose: int, epoch: Tensor | int, index: Tensor) -> Tensor:
    """Draw 64 random bits for each sample, equal on every device.

    Args:
        seed: The run's seed.
        purpose: One of this module's purposes.
        epoch: Epoch of each sample, int64 of the shape of `index`, or one for all.
        index: Index of each sample, int64.

    Returns:
        int64 of the shape of `index`.
    """
    state = _mix(torch.tensor(_signed(seed * _GOLDEN + purpose), dtype=torch.int64, device=index.device))
    state = _mix(state ^ (torch.as_tensor(epoch, device=index.device) + 1) * _signed(_GOLDEN))
    return _mix(state ^ (index + 1) * _signed(_MIX_2))


def draw_integers(bound: int, seed: int, purpose: int, epoch: Tensor | int, index: Tensor) -> Tensor:
    """Draw one integer in [0, bound) for each sample.

    Args:
        bound: At most 2**32; the modulo bias is below bound / 2**32.
        seed: The run's seed.
        purpose: One of this module's purposes.
        epoch: Epoch of each sample, int64 of the shape of `index`, or one for all.
        index: Index of each sample, int64.

    Returns:
        int64 of the shape of `index`.
    """
    return _shift_right(draw_bits(seed, purpose, epoch, index), 32) % bound


def draw_uniform(seed: int, purpose: int, epoch: Tensor | int, index: Tensor) -> Tensor:
    """Draw one number in [0, 1) for each sample: a multiple of 2**-24, which float32 holds exactly.

    Args:
        seed: The run's seed.
        purpose: One of this module's purposes.
        epoch: Epoch of each sample, int64 of the shape of `index`, or one for all.
        index: Index of each sample, int64.

    Returns:
        float32 of the shape of `index`.
    """
    return _shift_right(draw_bits(seed, purpose, epoch, index), 40).to(torch.float32) * 2.0**-24


def permutation(seed: int, purpose: int, epoch: int, length: int) -> Tensor:
    """Permute range(length) by sorting its elements' random bits.

    Args:
        seed: The run's seed.
        purpose: One of this module's purposes.
        epoch: Epoch of the permutation.
        length: Number of elements.

    Returns:
        int64 [length].
    """
    bits = draw_bits(seed, purpose, epoch, torch.arange(length))
    return torch.argsort(bits, stable=True)
