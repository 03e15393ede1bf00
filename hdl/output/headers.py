"""C and Verilog headers of a grid: addresses, bits, sizes and formats as constants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hdl.grid.image_loader import HEADER_BYTES, LOAD_CHECK
from hdl.layouts import Memory, memory_shape
from hdl.output.layout_tables import layout_tables
from hdl.output.register_tables import register_tables
from hdl.parameters import GridParameters
from hdl.register_map import IDENTIFICATION, VERSION

__all__ = ["c_header", "verilog_header"]

_TITLE = "Constants of a generated spatial-rnn grid: register byte offsets, bit positions, sizes and formats."


@dataclass(frozen=True)
class _Constant:
    name: str
    value: int
    #: Hexadecimal digits to print; 0 prints a decimal number.
    digits: int = 0


def c_header(parameters: GridParameters) -> str:
    """`spatial_rnn.h`, usable from C and C++."""
    def line(constant: _Constant) -> str:
        value = f"0x{constant.value:0{constant.digits}X}u" if constant.digits else str(constant.value)
        return f"#define {constant.name} {value}"

    guard = "SPATIAL_RNN_H"
    return _header(parameters, line, f"#ifndef {guard}\n#define {guard}\n", f"\n#endif /* {guard} */\n")


def verilog_header(parameters: GridParameters) -> str:
    """`spatial_rnn.vh`, Verilog-2005."""
    def line(constant: _Constant) -> str:
        value = f"32'h{constant.value:0{constant.digits}X}" if constant.digits else str(constant.value)
        return f"`define {constant.name} {value}"

    guard = "SPATIAL_RNN_VH"
    return _header(parameters, line, f"`ifndef {guard}\n`define {guard}\n", "\n`endif\n")


def _header(parameters: GridParameters, line: Callable[[_Constant], str], begin: str, end: str) -> str:
    parts = [f"/* {_TITLE} */\n", begin]
    for title, constants in _sections(parameters):
        parts.append(f"\n/* {title} */\n")
        parts += [line(constant) + "\n" for constant in constants]
    return "".join([*parts, end])


def _sections(p: GridParameters) -> Iterator[tuple[str, list[_Constant]]]:
    """Titles and constants, in the order of the header."""
    yield "Identification: the values of the registers ID and VERSION", [
        _Constant("SRNN_ID_VALUE", IDENTIFICATION, 8), _Constant("SRNN_VERSION_VALUE", VERSION, 8),
    ]
    yield "Parameters of this grid", [
        _Constant(f"SRNN_PARAM_{name.upper()}", value) for name, value in p.to_dict().items()
    ]
    yield "Bytes of a beat of s_axis and of m_axis", [
        _Constant("SRNN_INPUT_BEAT_BYTES", p.beat_bytes), _Constant("SRNN_OUTPUT_BEAT_BYTES", 2 * p.rows),
    ]
    tables = list(register_tables())
    yield "Byte offsets of the registers", [
        _Constant(f"SRNN_REG_{table.register.name}", table.register.offset, 2) for table in tables
    ]
    for table in tables:
        if table.bits:
            yield f"Bit positions of {table.register.name}", [
                _Constant(f"SRNN_{table.register.name}_{bit.name}_BIT", bit.position) for bit in table.bits
            ]
    yield "Memories: number in a load packet, bits of a word, words, beats of a word", [
        _Constant(f"SRNN_MEMORY_{memory.name}{suffix}", value)
        for memory in Memory
        for suffix, value in zip(("", "_WIDTH", "_DEPTH", "_BEATS"), _numbers(p, memory), strict=True)
    ]
    header = next(table for table in layout_tables(p) if table.name == "load_header")
    yield "Header of a load packet: bytes, exclusive or of its words, least significant bit and width of each field", [
        _Constant("SRNN_LOAD_HEADER_BYTES", HEADER_BYTES),
        _Constant("SRNN_LOAD_CHECK_VALUE", LOAD_CHECK, 8),
        *(
            _Constant(f"SRNN_LOAD_{field.name.upper()}_{suffix}", value)
            for field in header.fields
            for suffix, value in (("LSB", field.offset), ("WIDTH", field.width))
        ),
    ]


def _numbers(p: GridParameters, memory: Memory) -> tuple[int, int, int, int]:
    return int(memory), *memory_shape(p, memory)
