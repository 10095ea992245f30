"""The paper's Table 1 and Sec. 4.2 as counts to compare networks with.

Exact counts come from a formula without torch (tests/analysis/formula.py). The paper's printed figures are rounded, and
agree within 2 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reslab.spec import ModelSpec, Shortcut
from reslab.spec.families import model_spec

from .complexity import measure_complexity

TOLERANCE = 0.02  # relative to the paper's printed figure


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected counts of a network.

    Attributes:
        name: The network's name.
        shortcut: Option A, B or C; None for a network without shortcuts.
        parameters: Parameters of the network.
        multiply_adds: Multiply-adds of one image at the family's own size.
        num_projections: Shortcuts with a projection.
        paper: The paper's printed figure ("3.8 G" multiply-adds, "0.27 M" parameters), if any.
        num_classes: Outputs of the last layer; None for the family's own number.
    """

    name: str
    shortcut: Shortcut | None
    parameters: int
    multiply_adds: int
    num_projections: int
    paper: str | None = None
    num_classes: int | None = None

    @property
    def spec(self) -> ModelSpec:
        """The network."""
        return model_spec(self.name, shortcut=self.shortcut, num_classes=self.num_classes)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Expected and actual counts of a network.

    Attributes:
        expected: The expected counts.
        parameters: Counted parameters.
        multiply_adds: Counted multiply-adds.
        num_projections: Counted shortcuts with a projection.
    """

    expected: Expected
    parameters: int
    multiply_adds: int
    num_projections: int

    @property
    def is_exact(self) -> bool:
        """Whether every count is exactly as expected."""
        expected = self.expected
        counted = (self.parameters, self.multiply_adds, self.num_projections)
        return counted == (expected.parameters, expected.multiply_adds, expected.num_projections)

    @property
    def paper_deviation(self) -> float | None:
        """Relative difference from the paper's printed figure; None if the paper prints none."""
        if self.expected.paper is None:
            return None
        figure, unit = self.expected.paper.split()
        counted = self.multiply_adds / 1e9 if unit == "G" else self.parameters / 1e6
        return counted / float(figure) - 1

    @property
    def is_ok(self) -> bool:
        """Whether the counts are exact and within 2 % of the paper's printed figure."""
        deviation = self.paper_deviation
        return self.is_exact and (deviation is None or abs(deviation) <= TOLERANCE)


EXPECTED: tuple[Expected, ...] = (
    Expected("plain18", None, 11_515_688, 1_794_805_760, 0, "1.8 G"),
    Expected("resnet18", "A", 11_515_688, 1_794_805_760, 0, "1.8 G"),
    Expected("resnet18", "B", 11_689_512, 1_814_073_344, 3, "1.8 G"),
    Expected("resnet18", "C", 12_043_816, 1_878_298_624, 8),
    Expected("plain34", None, 21_623_848, 3_644_493_824, 0, "3.6 G"),
    Expected("resnet34", "A", 21_623_848, 3_644_493_824, 0, "3.6 G"),
    Expected("resnet34", "B", 21_797_672, 3_663_761_408, 3, "3.6 G"),
    Expected("resnet34", "C", 22_716_840, 3_830_747_136, 16),
    Expected("plain50", None, 22_780_456, 3_498_311_680, 0),
    Expected("resnet50", "A", 22_780_456, 3_498_311_680, 0),
    Expected("resnet50", "B", 25_557_032, 3_857_973_248, 4, "3.8 G"),
    Expected("resnet50_v1_5", "B", 25_557_032, 4_089_184_256, 4),
    Expected("resnet50", "C", 40_128_552, 6_324_224_000, 16),
    Expected("plain101", None, 41_772_584, 7_210_532_864, 0),
    Expected("resnet101", "A", 41_772_584, 7_210_532_864, 0),
    Expected("resnet101", "B", 44_549_160, 7_570_194_432, 4, "7.6 G"),
    Expected("resnet101_v1_5", "B", 44_549_160, 7_801_405_440, 4),
    Expected("resnet101", "C", 76_981_288, 13_530_300_416, 33),
    Expected("plain152", None, 57_416_232, 10_922_754_048, 0),
    Expected("resnet152", "A", 57_416_232, 10_922_754_048, 0),
    Expected("resnet152", "B", 60_192_808, 11_282_415_616, 4, "11.3 G"),
    Expected("resnet152_v1_5", "B", 60_192_808, 11_513_626_624, 4),
    Expected("resnet152", "C", 107_335_720, 20_736_376_832, 50),
    Expected("cifar_plain20", None, 269_722, 40_551_040, 0),
    Expected("cifar_resnet20", "A", 269_722, 40_551_040, 0, "0.27 M"),
    Expected("cifar_resnet20", "B", 272_474, 40_813_184, 2),
    Expected("cifar_resnet20", "C", 283_962, 42_648_192, 9),
    Expected("cifar_plain32", None, 464_154, 68_862_592, 0),
    Expected("cifar_resnet32", "A", 464_154, 68_862_592, 0, "0.46 M"),
    Expected("cifar_resnet32", "B", 466_906, 69_124_736, 2),
    Expected("cifar_resnet32", "C", 489_594, 72_532_608, 15),
    Expected("cifar_plain44", None, 658_586, 97_174_144, 0),
    Expected("cifar_resnet44", "A", 658_586, 97_174_144, 0, "0.66 M"),
    Expected("cifar_resnet44", "B", 661_338, 97_436_288, 2),
    Expected("cifar_resnet44", "C", 695_226, 102_417_024, 21),
    Expected("cifar_plain56", None, 853_018, 125_485_696, 0),
    Expected("cifar_resnet56", "A", 853_018, 125_485_696, 0, "0.85 M"),
    Expected("cifar_resnet56", "B", 855_770, 125_747_840, 2),
    Expected("cifar_resnet56", "C", 900_858, 132_301_440, 27),
    Expected("cifar_plain110", None, 1_727_962, 252_887_680, 0),
    Expected("cifar_resnet110", "A", 1_727_962, 252_887_680, 0, "1.7 M"),
    Expected("cifar_resnet110", "B", 1_730_714, 253_149_824, 2),
    Expected("cifar_resnet110", "C", 1_826_202, 266_781_312, 54),
    Expected("cifar_plain1202", None, 19_421_274, 2_829_238_912, 0),
    Expected("cifar_resnet1202", "A", 19_421_274, 2_829_238_912, 0, "19.4 M"),
    Expected("cifar_resnet1202", "B", 19_424_026, 2_829_501_056, 2),
    Expected("cifar_resnet1202", "C", 20_538_714, 2_986_263_168, 600),
    Expected("cifar_resnet110", "A", 1_733_812, 252_893_440, 0, num_classes=100),
    Expected("vgg16", None, 138_357_544, 15_470_264_320, 0, "15.3 G"),
    Expected("vgg19", None, 143_667_240, 19_632_062_464, 0, "19.6 G"),
)


def check_counts(rows: Sequence[Expected] = EXPECTED) -> list[Outcome]:
    """Count the networks of the table.

    Args:
        rows: The rows to count; by default all.

    Returns:
        One outcome for each row.
    """
    outcomes = []
    for expected in rows:
        counts = measure_complexity(expected.spec)
        outcomes.append(Outcome(expected, counts.parameters, counts.multiply_adds, counts.num_projections))
    return outcomes


def expected_for(spec: ModelSpec) -> Expected | None:
    """Find the table's row for a network.

    Args:
        spec: The network.

    Returns:
        The row; None for a network that is not in the table.
    """
    return next((row for row in EXPECTED if row.spec == spec), None)
