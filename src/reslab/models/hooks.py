"""Reading what flows through a network's modules."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

Record = Callable[[str, Tensor, Tensor], None]


@contextmanager
def recorded_outputs(modules: Mapping[str, nn.Module], record: Record) -> Iterator[None]:
    """Call `record(name, input, output)` each time one of the modules has run inside the block.

    Nothing is kept: `record` reduces what it gets, so that a deep network's activations need not fit into memory.
    """

    def hook_of(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda module, inputs, output: record(name, inputs[0], output)

    handles = [module.register_forward_hook(hook_of(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
