"""The parameters of a grid, and the sizes that follow from them.

`GridParameters` checks each parameter; its errors name the field, the value and the rule. Every derived size (address
widths, beat width, but not latencies) is a property here and nowhere else.
"""

from __future__ import annotations

import math
import tomllib
from collections import abc
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path

from hdl.errors import ConfigurationError, did_you_mean
from hdl.numerics import Arithmetic

__all__ = [
    "GridParameters", "load_parameters", "preset_description", "preset_names", "preset_path", "usual_preset_names",
]

PRESET_DIRECTORY = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class GridParameters:
    """The size of a grid. All values are integers in the ranges of `RANGES`, checked on construction.

    The Verilog of a grid depends on these values only, never on a model.
    """

    #: Rows of sites. The results of one column in all rows form a group of a vector.
    rows: int = 4
    #: Columns of sites, the length of every row's links.
    cols: int = 4
    #: Multipliers of a PCU, and values in a weight word (8 bits each) and in a vector word (`operand_bits` each).
    lanes: int = 16
    #: Weight words in a PMU.
    weight_depth: int = 2048
    #: Vector words in a PMU, both halves of the double buffer together.
    vector_depth: int = 128
    #: Hidden units whose state a PCU can hold, over all layers that are mapped to it.
    units: int = 64
    #: 16-bit state words of each hidden unit in a PCU.
    state_words: int = 4
    #: Bias and scale entries of a PCU: one for each matrix row (a gate of a unit) of every phase that it works on.
    gate_entries: int = 512
    #: Phases (sets of matrix-vector products with one epilogue) of all models together.
    phases: int = 16
    #: Models that the grid can hold at once.
    models: int = 4
    #: Words of the controller's schedule ROM: a header for each model, and one word for each phase in the order of
    #: issue.
    schedule_depth: int = 32
    #: Words of a PCU's epilogue program memory.
    program_length: int = 32
    #: Segments of the activation table over [-16, 16).
    table_segments: int = Arithmetic.table_segments
    #: Bits of the accumulator and of the partial sums between PCUs.
    accumulator_bits: int = Arithmetic.accumulator_bits
    #: Bits of an operand, 8 or 16: a code of the input or of a computed vector. Weights have 8.
    operand_bits: int = Arithmetic.operand_bits
    #: Levels of the adder tree between two pipeline registers.
    tree_levels_per_register: int = 2
    #: Registers at the outputs of the site's memories, 0 or 1: what comes out of a large block RAM or SRAM comes late.
    memory_registers: int = 0
    #: Ports of the weight memories: 2, or 1 for memories that are read or written in a cycle, such as an iCE40's SPRAMs
    #: and most SRAM macros. No cycle is lost: weights are written only while nothing runs.
    weight_ports: int = 2
    #: Bits of the counters of cycles and stalls, which wrap; those above read as zero.
    counter_bits: int = 64
    #: 1: the epilogue's products are in carry-save form between two registers, so that standard cells keep up with the
    #: dot product; 0: they are whole, for multipliers that are blocks of an FPGA.
    carry_save: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high, power_of_two = RANGES[field.name]
            if not isinstance(value, int) or isinstance(value, bool):
                raise ConfigurationError(f"{field.name} = {value!r}: must be an integer from {low} to {high}")
            if not low <= value <= high:
                raise ConfigurationError(f"{field.name} = {value}: must be from {low} to {high}")
            if power_of_two and value & (value - 1):
                below = 1 << (value.bit_length() - 1)
                raise ConfigurationError(
                    f"{field.name} = {value}: must be a power of two (the nearest are {below} and {2 * below})"
                )
        if self.vector_words * self.lanes < self.rows:
            raise ConfigurationError(
                f"vector_depth = {self.vector_depth}: one half ({self.vector_words} words of {self.lanes} values) "
                f"must hold at least one group of {self.rows} values (rows)"
            )
        narrowest = RANGES["accumulator_bits"][0] + self.operand_bits - Arithmetic.operand_bits
        if self.accumulator_bits < narrowest:
            usual = Arithmetic.accumulator_bits + self.operand_bits - Arithmetic.operand_bits
            raise ConfigurationError(
                f"accumulator_bits = {self.accumulator_bits}: must be at least {narrowest} with operand_bits = "
                f"{self.operand_bits} ({usual} hold as many products as {Arithmetic.accumulator_bits} with "
                f"{Arithmetic.operand_bits}): set accumulator_bits = {usual} as well (--accumulator-bits {usual})"
            )
        if self.schedule_depth <= self.models:
            raise ConfigurationError(
                f"schedule_depth = {self.schedule_depth}: must be more than models ({self.models}), "
                "because every model has a header in the schedule ROM"
            )
        if self.program_length < self.state_words:
            raise ConfigurationError(
                f"program_length = {self.program_length}: must be at least state_words ({self.state_words}), "
                "because an instruction's address says which state word it reads"
            )

    @property
    def arithmetic(self) -> Arithmetic:
        """The parameters on which the integers of a network depend."""
        return Arithmetic(self.table_segments, self.accumulator_bits, self.operand_bits)

    # Sites and links

    @property
    def sites(self) -> int:
        """PMU and PCU pairs in the grid."""
        return self.rows * self.cols

    @property
    def multipliers(self) -> int:
        """Multipliers in the grid."""
        return self.sites * self.lanes

    @property
    def beat_values(self) -> int:
        """Values in one write-stream word: the largest number that divides both a group and a vector word."""
        return math.gcd(self.rows, self.lanes)

    @property
    def beat_bits(self) -> int:
        """Bits of data in one write-stream word."""
        return self.operand_bits * self.beat_values

    @property
    def beat_bytes(self) -> int:
        """Bytes of data in one write-stream word, and in a beat of the input stream."""
        return self.beat_bits // 8

    @property
    def group_beats(self) -> int:
        """Write-stream words that carry one group (`rows` values)."""
        return self.rows // self.beat_values

    @property
    def word_beats(self) -> int:
        """Write-stream words that fill one vector word (`lanes` values)."""
        return self.lanes // self.beat_values

    # Vector memory: two halves, selected by the parity of the step

    @property
    def vector_words(self) -> int:
        """Words in one half of the vector memory."""
        return self.vector_depth // 2

    @property
    def vector_groups(self) -> int:
        """Whole groups in one half of the vector memory; also the depth of one half of the output buffer."""
        return self.vector_words * self.lanes // self.rows

    # Widths in bits

    @property
    def row_bits(self) -> int:
        return bits_for(self.rows)

    @property
    def col_bits(self) -> int:
        return bits_for(self.cols)

    @property
    def weight_address_bits(self) -> int:
        return bits_for(self.weight_depth)

    @property
    def vector_offset_bits(self) -> int:
        """Address of a word in one half of the vector memory."""
        return bits_for(self.vector_words)

    @property
    def vector_address_bits(self) -> int:
        return self.vector_offset_bits + 1

    @property
    def group_bits(self) -> int:
        """Address of a group in one half of the vector memory."""
        return bits_for(self.vector_groups)

    @property
    def unit_bits(self) -> int:
        return bits_for(self.units)

    @property
    def state_depth(self) -> int:
        """State words in a PCU; the words of a unit are consecutive."""
        return self.units * self.state_words

    @property
    def slot_bits(self) -> int:
        """Bits of the number of a state word within its unit; 0 if a unit has one word."""
        return self.state_words.bit_length() - 1

    @property
    def state_address_bits(self) -> int:
        return bits_for(self.state_depth)

    @property
    def gate_entry_bits(self) -> int:
        return bits_for(self.gate_entries)

    @property
    def stored_depth(self) -> int:
        """Stored pre-activations in a PCU: one for each gate entry of a phase that stores. The phase that adds them has
        as many gate entries of its own."""
        return max(1, self.gate_entries // 2)

    @property
    def stored_bits(self) -> int:
        return bits_for(self.stored_depth)

    @property
    def phase_bits(self) -> int:
        return bits_for(self.phases)

    @property
    def model_bits(self) -> int:
        return bits_for(self.models)

    @property
    def schedule_bits(self) -> int:
        return bits_for(self.schedule_depth)

    @property
    def program_bits(self) -> int:
        return bits_for(self.program_length)

    @cached_property
    def segment_bits(self) -> int:
        """Bits of a segment number of the activation table."""
        return self.table_segments.bit_length() - 1

    @property
    def fraction_bits(self) -> int:
        """Bits of the position inside a segment; the table spans 2^15 codes of Q5.10."""
        return 15 - self.segment_bits

    @property
    def slope_bits(self) -> int:
        """Bits of the rise over one segment, at most a quarter of the segment's width in Q0.15 (sigmoid' <= 1/4)."""
        return 18 - self.segment_bits + 1

    # Conversions

    def to_dict(self) -> dict[str, int]:
        """Field names and values, in declaration order."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, values: abc.Mapping[str, object], source: str = "configuration") -> GridParameters:
        """Parameters from a mapping of field names; raises `ConfigurationError` for an unknown field."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigurationError(f"{source}: unknown field {name!r}; the fields are {', '.join(known)}"
                                         f"{did_you_mean(name, known)}")
        return cls(**values)  # type: ignore[arg-type]  # __post_init__ checks every value's type


#: Field name: lowest value, highest value, whether it must be a power of two.
RANGES: dict[str, tuple[int, int, bool]] = {
    "rows": (1, 64, True),
    "cols": (1, 64, False),
    "lanes": (4, 128, False),
    "weight_depth": (4, 1 << 20, False),
    "vector_depth": (4, 1 << 14, True),
    "units": (1, 1 << 12, False),
    "state_words": (1, 8, True),
    "gate_entries": (2, 1 << 14, False),
    "phases": (2, 64, False),
    "models": (1, 16, True),
    "schedule_depth": (4, 256, False),
    "program_length": (2, 256, False),
    "table_segments": (64, 1024, True),
    "accumulator_bits": (24, 40, False),
    "operand_bits": (8, 16, True),
    "tree_levels_per_register": (1, 7, False),
    "memory_registers": (0, 1, False),
    "weight_ports": (1, 2, False),
    "counter_bits": (32, 64, False),
    "carry_save": (0, 1, False),
}


def bits_for(count: int) -> int:
    """Bits of an address of `count` things; at least one, because a signal must have a bit."""
    return max(1, (count - 1).bit_length())


def preset_names() -> list[str]:
    """The presets that ship with the package, smallest first."""
    return sorted((path.stem for path in PRESET_DIRECTORY.glob("*.toml")), key=lambda name: (_multipliers(name), name))


def usual_preset_names() -> list[str]:
    """The candidates where no grid is named: the presets with operands of the default width, for no one device."""
    usual = GridParameters()
    return [
        name for name, known in ((name, load_parameters(name)) for name in preset_names())
        if (known.operand_bits, known.weight_ports) == (usual.operand_bits, usual.weight_ports)
    ]


def preset_path(name: str) -> Path:
    """The TOML file of a preset. Raises `ConfigurationError` for an unknown name."""
    path = PRESET_DIRECTORY / f"{name}.toml"
    if "/" in name or not path.is_file():
        raise ConfigurationError(f"unknown preset {name!r}; the presets are {', '.join(preset_names())}"
                                 f"{did_you_mean(name, preset_names())}")
    return path


def preset_description(name: str) -> str:
    """The purpose of a preset, in a sentence."""
    return str(tomllib.loads(preset_path(name).read_text(encoding="utf-8")).get("description", ""))


def load_parameters(source: str | Path) -> GridParameters:
    """Parameters of a preset, or from a TOML file with a table `[grid]`.

    A `Path`, or text that ends in `.toml`, names a file; other text names a preset. Raises `ConfigurationError`.
    """
    path = Path(source) if isinstance(source, Path) or source.endswith(".toml") else preset_path(source)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not a TOML file ({error})") from error
    for name in content:
        if name not in ("grid", "description"):
            raise ConfigurationError(f"{path}: unknown field {name!r}; expected a table [grid]")
    grid = content.get("grid")
    if not isinstance(grid, dict):
        raise ConfigurationError(f"{path}: has no table [grid]")
    return GridParameters.from_mapping(grid, str(path))


def _multipliers(preset: str) -> int:
    return load_parameters(preset).multipliers
