"""FPGAs that a budget can name, with the capacities from their data sheets.

LUTs of an iCE40 are its logic cells, each a LUT with a flip-flop and a carry.
Block RAMs are counted in the units in which the family's memories are estimated: iCE40 4 kbit, ECP5 18 kbit, Xilinx
18 kbit (half a 36 kbit block). LUTs are the LUTs of the part's logic cells: 4 inputs for iCE40 and ECP5, 6 for Xilinx.
UltraScale+ parts are estimated with the mapping for the 7 series: this logic takes the same number of LUTs, DSPs (wide
enough for one 8-bit multiplication each) and block RAMs on both.
"""

from __future__ import annotations

from dataclasses import dataclass

from hdl.errors import did_you_mean
from rnn_mapper.errors import ConfigurationError

__all__ = ["DEVICES", "Device", "device"]

_ICE40UP = "Lattice FPGA-DS-02008, iCE40 UltraPlus Family Data Sheet, table 1.1"
_ICE40HX = "Lattice FPGA-DS-02029, iCE40 LP/HX Family Data Sheet, table 1.1"
_ECP5 = "Lattice FPGA-DS-02012, ECP5 and ECP5-5G Family Data Sheet, table 1.1"
_SERIES7 = "AMD DS180, 7 Series FPGAs Data Sheet: Overview"
_ZYNQ = "AMD DS190, Zynq-7000 SoC Data Sheet: Overview"
_ZYNQUP = "AMD DS891, Zynq UltraScale+ MPSoC Data Sheet: Overview"
_KINTEXUP = "AMD DS890, UltraScale Architecture and Product Data Sheet: Overview"
#: One site of eight lanes with seven of its products in logic takes 1,995 LUTs more (`pnr --multipliers mixed`).
_ECP5_PRODUCT = 285


@dataclass(frozen=True)
class Device:
    """A part and its capacities."""

    name: str
    #: Target of `hdl.synthesis.area` used for the estimates.
    target: str
    lut: int
    dsp: int
    bram: int
    source: str
    #: Target of `hdl.synthesis.place_and_route`, or "" where no tool of ours places and routes.
    route: str = ""
    #: LUTs of a multiplier of 8 x 8 bits in logic, with which multipliers beyond the blocks go there; 0: they do not.
    product_lut: int = 0

    @property
    def limits(self) -> dict[str, int]:
        """Capacity by resource; a part with a flip-flop for each LUT (two for Xilinx) is limited by its LUTs."""
        return {"lut": self.lut, "dsp": self.dsp, "bram": self.bram}


DEVICES: tuple[Device, ...] = (
    Device("iCE40UP5K", "ice40", 5_280, 8, 30, _ICE40UP, "ice40up5k"),
    Device("iCE40HX8K", "ice40hx", 7_680, 0, 32, _ICE40HX, "ice40hx"),
    Device("LFE5U-25F", "ecp5", 24_288, 28, 56, _ECP5, "ecp5-25k", _ECP5_PRODUCT),
    Device("LFE5U-45F", "ecp5", 43_848, 72, 108, _ECP5, "ecp5-45k", _ECP5_PRODUCT),
    Device("LFE5U-85F", "ecp5", 83_640, 156, 208, _ECP5, "ecp5", _ECP5_PRODUCT),
    Device("XC7A35T", "xilinx", 20_800, 90, 100, _SERIES7),
    Device("XC7A100T", "xilinx", 63_400, 240, 270, _SERIES7),
    Device("XC7Z020", "xilinx", 53_200, 220, 280, _ZYNQ),
    Device("XCKU5P", "xilinx", 216_960, 1_824, 960, _KINTEXUP),
    Device("XCZU7EV", "xilinx", 230_400, 1_728, 624, _ZYNQUP),
)


def device(name: str) -> Device:
    """The device with this name, ignoring case. Raises `ConfigurationError`."""
    for known in DEVICES:
        if known.name.lower() == name.lower():
            return known
    raise ConfigurationError(
        f"device {name!r} is unknown: choose one of {', '.join(known.name for known in DEVICES)}"
        f"{did_you_mean(name, [known.name for known in DEVICES])}"
    )
