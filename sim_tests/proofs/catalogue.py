"""All proofs, and the grid whose parameters the components have in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hdl.parameters import GridParameters
from sim_tests.proofs.harness import Harness
from sim_tests.proofs.prove_arithmetic import ActivationProof, MultiplyAccumulateProof, RequantiserProof
from sim_tests.proofs.prove_controller import ControllerProof
from sim_tests.proofs.prove_image_loader import ImageLoaderProof, LoadPacketProof
from sim_tests.proofs.prove_isolation import RowIsolationProof
from sim_tests.proofs.prove_links import CollectorProof, DistributorProof, ResultLinkProof
from sim_tests.proofs.prove_output_stream import OutputStreamProof
from sim_tests.proofs.prove_pmu import PmuProof
from sim_tests.proofs.prove_registers import RegistersProof
from sim_tests.proofs.prove_sequencer import SequencerProof
from sim_tests.proofs.prove_skid import SkidProof
from sim_tests.proofs.prove_top import TopProof
from sim_tests.proofs.prove_unit_path import UnitPathProof
from sim_tests.proofs.prove_vector_input import VectorInputProof
from sim_tests.proofs.prover import Verdict

__all__ = ["PROOFS", "PROOF_GRID", "Claim", "claims"]

#: Small memories, so that a proof looks at every address; two rows of sites are not needed by any component.
PROOF_GRID = GridParameters(
    1, 2, 4, weight_depth=16, vector_depth=8, units=4, gate_entries=8, phases=2, models=2, schedule_depth=4,
    program_length=4, table_segments=64,
)
#: Proofs by the name of their component.
PROOFS: dict[str, Callable[[GridParameters], Harness]] = {
    "registers": RegistersProof,
    "image_loader": ImageLoaderProof,
    "load_packet": LoadPacketProof,
    "vector_input": VectorInputProof,
    "output_stream": OutputStreamProof,
    "controller": ControllerProof,
    "distributor": DistributorProof,
    "collector": CollectorProof,
    "pcu": ResultLinkProof,
    "unit_path": UnitPathProof,
    "pmu": PmuProof,
    "sequencer": SequencerProof,
    "dot_product": RowIsolationProof,
    "skid_buffer": SkidProof,
    "top": TopProof,
    "requantiser": RequantiserProof,
    "multiply_accumulate": MultiplyAccumulateProof,
    "activation": ActivationProof,
}


@dataclass(frozen=True)
class Claim:
    """A promise, which must be proved, or a situation, which must be reachable."""

    component: str
    text: str
    is_promise: bool

    @property
    def wanted(self) -> Verdict:
        """The verdict that confirms it."""
        return Verdict.PROVED if self.is_promise else Verdict.BROKEN


def claims(component: str) -> Iterator[Claim]:
    """The claims of a component."""
    harness = PROOFS[component](PROOF_GRID)
    harness.module(None, None)
    yield from (Claim(component, text, True) for text in harness.promises)
    yield from (Claim(component, text, False) for text in harness.situations)
