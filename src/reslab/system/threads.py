"""Work that threads do ahead of the time its results are needed."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    function: Callable[[T], R], chunks: Iterable[Sequence[T]], *, ahead: int = 2, num_threads: int | None = None
) -> Generator[list[R], None, None]:
    """Yield the results of each chunk in order, while threads work on the chunks after it.

    Memory holds `ahead` + 1 chunks, however many there are. An error of `function` is raised in its chunk's place.
    When the generator is closed, by an error or Ctrl-C for instance, items that no thread has begun are dropped.

    Args:
        function: Called with one item at a time, by several threads at once.
        chunks: Their items; read by the caller's thread, no further than needed.
        ahead: Chunks in work before they are asked for.
        num_threads: How many threads; None leaves it to the number of cores.
    """
    source = iter(chunks)
    pending: deque[list[Future[R]]] = deque()
    pool = ThreadPoolExecutor(num_threads)
    try:
        while True:
            while len(pending) <= ahead and (chunk := next(source, None)) is not None:
                pending.append([pool.submit(function, item) for item in chunk])
            if not pending:
                return
            yield [future.result() for future in pending.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)
