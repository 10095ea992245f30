"""The machine's own rate: square matrix products, the most that any network could reach."""

import time

import torch

from .contest import save

SIZE = 4096


def product_rate(dtype: torch.dtype, rounds: int = 5) -> float:
    """Return GFLOP/s of a SIZE x SIZE matrix product, the best of some rounds."""
    a, b = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return round(2 * SIZE**3 / best / 1e9, 1)


def main() -> None:
    """Write the rates in float32 and bfloat16."""
    rates = {str(dtype).removeprefix("torch."): product_rate(dtype) for dtype in (torch.float32, torch.bfloat16)}
    save("machine", {"title": f"Matrix product {SIZE}^3, GFLOP/s", "gflops": rates})


if __name__ == "__main__":
    main()
