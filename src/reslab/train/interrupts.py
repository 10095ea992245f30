"""Ctrl-C and SIGTERM as a request to stop, which the training loop follows between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StopRequest:
    """A request to stop the training.

    Attributes:
        is_made: Whether Ctrl-C or SIGTERM came.
    """

    def __init__(self) -> None:
        self.is_made = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside the block, let Ctrl-C and SIGTERM make the request; a second Ctrl-C ends at once."""

        def ask(number: int, frame: Any) -> None:
            if self.is_made and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.is_made = True

        try:
            previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread, where Python does not let a signal be handled
            yield
            return
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
