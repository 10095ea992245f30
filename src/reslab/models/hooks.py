"""Access to the inputs and outputs of a network's modules."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

Record = Callable[[str, Tensor, Tensor], None]


@contextmanager
def recorded_outputs(modules: Mapping[str, nn.Module], record: Record) -> Iterator[None]:
    """Call a function with the input and output of each module that runs inside a `with` block.

    Nothing is kept, so a deep network's activations need not fit into memory: the function reduces them.

    Args:
        modules: The modules, by name.
        record: Function of (name, input, output).
    """

    def hook_of(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda module, inputs, output: record(name, inputs[0], output)

    handles = [module.register_forward_hook(hook_of(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
