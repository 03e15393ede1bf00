"""Publications and tools behind the estimate; constants and machines name them by key, in brackets."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["SOURCES", "Source", "Status"]


class Status(enum.StrEnum):
    """How a value or a source is known."""

    #: Seen, while this was written, in a copy of the source or in a text that quotes it (named beside it).
    VERIFIED = "verified"
    #: Computed by us from sources that are verified, or with an open tool.
    COMPUTED = "computed"
    #: From memory; no copy of the source could be found.
    RECALLED = "unverified, recalled"
    #: A designer's guess; nothing was published for this design.
    JUDGEMENT = "judgement"


@dataclass(frozen=True)
class Source:
    """A publication or a tool."""

    text: str
    status: Status
    #: Where the value was seen; the publication itself could rarely be opened.
    seen: str


_V, _R = Status.VERIFIED, Status.RECALLED

SOURCES: dict[str, Source] = {
    "tsmc": Source(
        "TSMC's 28 nm technology at the VLSI symposia 2009: SRAM cell of 0.127 um2, 3,900 kgates/mm2 raw density", _V,
        "electronicdesign.com/news/tsmc-announces-28nm-milestone"),
    "nangate": Source("Nangate open cell library for FreePDK45: NAND2_X1 0.798 um2, DFF_X1 4.522 um2", _V,
                      "quotes of the Liberty file in public repositories"),
    "cell8t": Source("64-Kb dual-port image memory in 28 nm FD-SOI: 8T cell of 0.291 x 1.457 = 0.424 um2", _V,
                     "abstract, cir.nii.ac.jp/crid/1050294045368847104"),
    "cacti": Source(
        "CACTI 7: Balasubramonian et al., ACM TACO 14(2), 2017. Our runs for each memory's shape at 32 and 22 nm, 350 "
        "K, one bank, optimised for energy and area; 28 nm taken as 0.6 x 32 nm + 0.4 x 22 nm. Typical values: "
        "low-leakage cells with a fast periphery (mixed)", _V,
        "source in the package hwcomponents-cacti 1.0.40"),
    "horowitz": Source(
        "Horowitz, Computing's energy problem, ISSCC 2014, fig. 1.1.9, 45 nm, 0.9 V: 8-bit multiplication 0.2 pJ, "
        "32-bit addition 0.1 pJ, 8 KB cache 10 pJ and 32 KB cache 20 pJ for 64 bits", _V,
        "quoted in github.com/stillwater-sc/esim energysim/database/energy.py and "
        "pmc.ncbi.nlm.nih.gov/articles/PMC8934428 table 3 (all but the 32 KB cache, which is recalled)"),
    "aladdin": Source(
        "Shao et al., Aladdin, ISCA 2014, its 40 nm library at a cycle of 1 ns: 32-bit multiplier 12.7 pJ, 6,350 um2, "
        "leakage 0.0779 mW; 32-bit adder 0.21 pJ; register bit 0.00794 pJ a cycle inside, 0.00900 pJ with switching",
        _V, "github.com/ashleyswang/pm-tech-lib py-script/test.c"),
    "stillmaker": Source(
        "Stillmaker and Baas, Scaling equations for the accurate prediction of CMOS device performance from 180 nm to "
        "7 nm, Integration 58, 2017, energy coefficients; 28 nm linear between 32 and 20 nm", _V,
        "scaling module of Accelergy's hwcomponents; vcl.ece.ucdavis.edu/pubs/2017.02.VLSIintegration.TechScale"),
    "keckler": Source(
        "Keckler et al., GPUs and the future of parallel computing, IEEE Micro 31(5), 2011, table 1: 310 pJ for 256 "
        "random bits over 10 mm at 40 nm, 0.9 V; capacitance per mm hardly changes with the node", _V,
        "quoted at length in a public survey of wire energies"),
    "dally2012": Source("Dally, SC 2012, slide 14, 28 nm: buses of 256 bits at 0.082 to 0.147 pJ/bit/mm", _V,
                        "the same survey (lengths read off the drawing)"),
    "dally2020": Source("Dally, Turakhia and Han, Domain-specific hardware accelerators, CACM 63(7), 2020: 0.05 pJ/bit "
                        "for a memory of 8 KB at 14 nm", _V, "the same survey"),
    "tpu": Source(
        "Jouppi et al., In-datacenter performance analysis of a Tensor Processing Unit, ISCA 2017, table 2 and fig. 2: "
        "28 nm, 331 mm2 at most, 24 MiB in 29 % and 65,536 multipliers in 24 % of it, 40 W when busy", _V,
        "figures copied in public repositories (tables as a JavaScript file; Krishna-get/Summer-of-Code week 8)"),
    "plasticine2017": Source(
        "Prabhakar et al., Plasticine: a reconfigurable architecture for parallel patterns, ISCA 2017: 113 mm2 at 28 "
        "nm (112.8 recalled), 49 W at most, 12.3 TFLOPS single precision, 16 MB", _V, "abstract"),
    "seed": Source(
        "Zhao, Zhang and Olukotun, Serving recurrent neural networks efficiently with a spatial accelerator, MLSys "
        "2019: 1.6x in area and 2x in power efficiency over the V100 (abstract, verified); 494 mm2, 160 W (table, "
        "recalled)", _R,
        "abstract, proceedings.mlsys.org and arXiv 1909.13654; the tables could not be opened"),
    "v100": Source("NVIDIA Tesla V100: 815 mm2, TSMC 12 nm FFN, 300 W", _V,
                   "xenon.com.au/nvidia-tesla-volta-worlds-advanced-data-center-gpu; overclock3d.net"),
    "brainwave": Source(
        "Fowers et al., A configurable cloud-scale DNN processor for real-time AI, ISCA 2018; Stratix 10 280, 148 W "
        "from memory of MLSys 2019 (125 W from memory of ISCA 2018); its die is not published", _R, "abstract only"),
}  # fmt: skip
