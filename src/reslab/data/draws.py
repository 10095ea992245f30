"""Random draws that are a function of (seed, purpose, epoch, index) and of nothing else.

A counter-based generator needs no state: any sample's draws can be computed at any time, in any process, on any
device, with the same result. That is what makes a resume exact and a change of world size harmless.
"""

import torch
from torch import Tensor

# one stream of draws for each purpose; a purpose's number must never change, or old runs stop being repeatable
ORDER, CROP_Y, CROP_X, FLIP, SCALE, COLOR, SPLIT, SAMPLE, CUTOUT_Y, CUTOUT_X = range(10)
AREA, ASPECT, OPERATIONS, ERASE, ERASE_AREA, ERASE_ASPECT, ERASE_Y, ERASE_X, MIX, CLASS_ORDER, MEMBER = range(10, 21)

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _signed(value: int) -> int:
    """The int64 that has the low 64 bits of `value`."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _shift_right(x: Tensor, bits: int) -> Tensor:
    # `>>` on int64 copies the sign bit; the hash needs zeros
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """The finalizer of SplitMix64 (Steele, Lea, Flood 2014); int64 products wrap around, as it needs."""
    x = (x ^ _shift_right(x, 30)) * _signed(_MIX_1)
    x = (x ^ _shift_right(x, 27)) * _signed(_MIX_2)
    return x ^ _shift_right(x, 31)


def draw_bits(seed: int, purpose: int, epoch: Tensor | int, index: Tensor) -> Tensor:
    """Return 64 random bits (int64) for each element of `index`; equal on every device."""
    state = _mix(torch.tensor(_signed(seed * _GOLDEN + purpose), dtype=torch.int64, device=index.device))
    state = _mix(state ^ (torch.as_tensor(epoch, device=index.device) + 1) * _signed(_GOLDEN))
    return _mix(state ^ (index + 1) * _signed(_MIX_2))


def draw_integers(bound: int, seed: int, purpose: int, epoch: Tensor | int, index: Tensor) -> Tensor:
    """Return integers in [0, bound), for a bound far below 2**32."""
    return _shift_right(draw_bits(seed, purpose, epoch, index), 32) % bound


def draw_uniform(seed: int, purpose: int, epoch: Tensor | int, index: Tensor) -> Tensor:
    """Return float32 numbers in [0, 1), multiples of 2**-24 and so exact."""
    return _shift_right(draw_bits(seed, purpose, epoch, index), 40).to(torch.float32) * 2.0**-24


def permutation(seed: int, purpose: int, epoch: int, length: int) -> Tensor:
    """Return a permutation of range(length) as int64 [length]: the order of its elements' random bits."""
    bits = draw_bits(seed, purpose, epoch, torch.arange(length))
    return torch.argsort(bits, stable=True)
