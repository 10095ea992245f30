"""Parameters and multiply-adds by formula: integers only, no torch, and nothing of the package under test."""

from dataclasses import dataclass

_IMAGENET = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@dataclass
class Count:
    parameters: int = 0
    multiply_adds: int = 0
    num_projections: int = 0

    def conv(self, c_in: int, c_out: int, kernel: int, out_size: int) -> None:
        """A convolution without bias, and the batch norm after it."""
        weights = c_in * c_out * kernel * kernel
        self.parameters += weights + 2 * c_out
        self.multiply_adds += weights * out_size * out_size

    def linear(self, c_in: int, c_out: int) -> None:
        self.parameters += c_in * c_out + c_out
        self.multiply_adds += c_in * c_out


def _stages(
    count: Count,
    blocks: tuple[int, ...],
    widths: tuple[int, ...],
    size: int,
    option: str,
    bottleneck: bool,
    stride_on_3x3: bool,
) -> int:
    channels = widths[0]
    for stage, (number, width) in enumerate(zip(blocks, widths, strict=True)):
        out = 4 * width if bottleneck else width
        for block in range(number):
            stride = 2 if stage and not block else 1
            before, size = size, size // stride
            if bottleneck:
                count.conv(channels, width, 1, before if stride_on_3x3 else size)
                count.conv(width, width, 3, size)
                count.conv(width, out, 1, size)
            else:
                count.conv(channels, width, 3, size)
                count.conv(width, width, 3, size)
            if option == "C" or (option == "B" and (stride > 1 or channels != out)):
                count.conv(channels, out, 1, size)
                count.num_projections += 1
            channels = out
    return channels


def imagenet(depth: int, option: str, stride_on_3x3: bool = False, classes: int = 1000) -> Count:
    """A network of Table 1 at 224x224. option: "plain", "A", "B" or "C"."""
    count = Count()
    count.conv(3, 64, 7, 112)
    channels = _stages(count, _IMAGENET[depth], (64, 128, 256, 512), 56, option, depth >= 50, stride_on_3x3)
    count.linear(channels, classes)
    return count


def cifar(depth: int, option: str, classes: int = 10) -> Count:
    """A network of 6n+2 layers at 32x32."""
    count = Count()
    count.conv(3, 16, 3, 32)
    channels = _stages(count, ((depth - 2) // 6,) * 3, (16, 32, 64), 32, option, False, False)
    count.linear(channels, classes)
    return count


def vgg(depth: int) -> Count:
    """VGG-16 or VGG-19 at 224x224: convolutions with biases, no batch norm."""
    count, channels, size = Count(), 3, 224
    for number, width in zip({16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}[depth], (64, 128, 256, 512, 512), strict=True):
        for _ in range(number):
            count.parameters += channels * width * 9 + width
            count.multiply_adds += channels * width * 9 * size * size
            channels = width
        size //= 2
    for c_in, c_out in ((512 * 49, 4096), (4096, 4096), (4096, 1000)):
        count.linear(c_in, c_out)
    return count
