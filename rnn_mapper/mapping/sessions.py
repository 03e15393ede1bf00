"""Many client sessions on one model of a grid: which sequences and load packets the host sends for them.

The model is mapped for some streams that share its schedule (`map_services`), so as many sessions advance at once.
Beside it lies a reader that sends the states of all streams (`state_reader`). Sessions beyond the streams
wait in the host's memory. A load packet of a state resets the parity of the whole model, so to put one stream's state
in place those of all are loaded (`replace_state`).
"""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hdl.parameters import GridParameters
from rnn_mapper.bus import BusSequence
from rnn_mapper.errors import ConfigurationError, ModelError
from rnn_mapper.fixed_point import Codes, operand_type
from rnn_mapper.mapping.allocation import Reserved
from rnn_mapper.mapping.deployment import Deployment, reserved_after
from rnn_mapper.mapping.mapper import TYPICAL_STEPS, map_network
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.mapping.sequences import State, bus_sequence, load_states, read_sequence
from rnn_mapper.mapping.state_reader import map_state_reader, states_read
from rnn_mapper.quantisation.integer_network import Int16Array, LayerState, QuantisedNetwork
from rnn_mapper.quantisation.reference import Reference, check_state

__all__ = ["StreamingService", "Transport", "map_services", "replace_state"]

#: Anything that can be a key.
Session = Any


#: Does what a `BusSequence` says; returns its outputs, int16 [steps, width].
Transport = Callable[[BusSequence], Int16Array]


def map_services(
    models: Sequence[QuantisedNetwork | Sequence[QuantisedNetwork]], parameters: GridParameters,
    steps: int = TYPICAL_STEPS,
) -> Deployment:
    """Place models in one grid, each with its reader behind it: model k is number 2 k, its reader 2 k + 1.

    For a service of n streams name the network n times. Raises `MappingError` where something does not fit, or a model
    has no state.
    """
    placed: list[Mapping] = []

    def behind() -> Reserved:
        return reserved_after(placed[-1]) if placed else Reserved()

    for model in models:
        placed.append(map_network(model, parameters, steps=steps, reserved=behind()))
        placed.append(map_state_reader(placed[-1], behind()))
    return Deployment(tuple(placed))


def replace_state(
    model: Mapping, reader: Mapping, read: Int16Array, member: int, state: State
) -> tuple[bytes, ...]:
    """Load packets that put `state` into one stream and leave those of the others as they are.

    `read` [1, width] is what the reader sent of the state of all; no sequence of the model may have run since.
    """
    states: list[State] = list(states_read(model, read, reader))
    states[member] = state
    return load_states(model, states)


class StreamingService:
    """Sessions on one model of a resident grid whose streams are all of one network.

    Sessions are opened, advanced (`run`), looked at (`state`), put elsewhere (`restore`, `clear`) and closed, in any
    order; each sees only its own inputs and state. The states of up to as many sessions as there are streams stay in
    the grid from one call to the next; they are saved when another session takes their place.
    """

    def __init__(self, resident: Deployment, number: int, transport: Transport) -> None:
        self.transport = transport
        self.model, self.reader = resident.models[number], resident.models[number + 1]
        self.network = self.model.network
        if any(member is not self.network for member in self.model.members):
            raise ConfigurationError(f"model {number} is of different networks, must be streams of one")
        self._cleared = Reference(self.network).cleared_state()
        #: The session whose state each stream of the grid holds.
        self._streams: list[Session | None] = [None] * len(self.model.members)
        #: The host's copies, and the sessions whose state in the grid is newer.
        self._states: dict[Session, State] = {}
        self._newer: set[Session] = set()

    @property
    def sessions(self) -> list[Session]:
        """The open sessions."""
        return list(self._states)

    def open(self, session: Session) -> None:
        """Begin a session, from a cleared state. Raises ConfigurationError if it is open."""
        if session in self._states:
            raise ConfigurationError(f"session {session!r} is open already")
        self._states[session] = None

    def close(self, session: Session) -> None:
        """End a session."""
        self.clear(session)
        del self._states[session]

    def clear(self, session: Session) -> None:
        """The next step of the session starts from a cleared state. Nothing is sent."""
        self.restore(session, None)

    def restore(self, session: Session, state: State) -> None:
        """The next step of the session starts from `state`, which is sent then.

        Raises ModelError if it does not fit.
        """
        self._check(session)
        if state is not None:
            check_state(state, self._cleared)
        self._states[session] = state
        self._newer.discard(session)
        self._streams = [None if one == session else one for one in self._streams]

    def state(self, session: Session) -> Sequence[LayerState]:
        """The state of the session, read from the grid if it is newer there."""
        self._check(session)
        if session in self._newer:
            self._save()
        state = self._states[session]
        return self._cleared if state is None else state

    def save_all(self) -> None:
        """Read the states that are newer in the grid, and no longer count on it: before other memories are loaded."""
        self._save()
        self._streams = [None] * len(self._streams)

    def lose(self) -> list[Session]:
        """The grid has lost the states (an abort, a reset): all sessions go back to what the host has of them.

        Returns those that lose steps by it.
        """
        lost = list(self._newer)
        self._newer.clear()
        self._streams = [None] * len(self._streams)
        return lost

    def run(self, inputs: abc.Mapping[Session, Codes]) -> dict[Session, Int16Array]:
        """Advance sessions together, each by its operand codes [steps, input_size]; returns the outputs of each.

        All need as many steps, and there may be as many sessions as the model has streams. Raises ConfigurationError
        or ModelError.
        """
        steps = self._steps(inputs)
        stay = {session: place for place, session in enumerate(self._streams) if session in inputs}
        # Whoever is in the grid and does not advance would be advanced by zeros.
        if len(stay) < len(inputs) or any(one in self._newer for one in self._streams if one not in inputs):
            self._save()
        places = dict(stay)
        free = [place for place in range(len(self._streams)) if place not in stay.values()]
        for session in inputs:
            if session not in stay:
                places[session] = free.pop(0)
        chosen: list[Session | None] = [None] * len(self._streams)
        for session, place in places.items():
            chosen[place] = session
        keep = len(stay) == len(inputs)
        states = None if keep else [None if session is None else self._states[session] for session in chosen]
        nothing = np.zeros((steps, self.network.input_size), dtype=operand_type(self.network.arithmetic))
        codes = [nothing if session is None else inputs[session] for session in chosen]
        outputs = self.model.unpack_outputs(self.transport(bus_sequence(self.model, codes, states, keep)))
        self._streams, self._newer = chosen, set(inputs)
        return {session: outputs[place] for session, place in places.items()}

    def _save(self) -> None:
        """Copies of all states that are newer in the grid, which keeps them."""
        if self._newer:
            read = self.transport(read_sequence(self.reader))
            for session, state in zip(self._streams, states_read(self.model, read, self.reader), strict=True):
                if session in self._newer:
                    self._states[session] = state
            self._newer.clear()

    def _check(self, session: Session) -> None:
        if session not in self._states:
            raise ConfigurationError(f"session {session!r} is not open")

    def _steps(self, inputs: abc.Mapping[Session, Codes]) -> int:
        kind = operand_type(self.network.arithmetic)
        for session, codes in inputs.items():
            self._check(session)
            if codes.dtype != kind or codes.ndim != 2 or codes.shape[1] != self.network.input_size:
                raise ModelError(
                    f"inputs of session {session!r} are {codes.dtype} {list(codes.shape)}, "
                    f"must be {kind} [steps, {self.network.input_size}]"
                )
        lengths = sorted({len(codes) for codes in inputs.values()})
        if len(lengths) != 1 or not lengths[0]:
            raise ModelError(f"inputs have {lengths} steps, all sessions must have as many, at least one")
        if len(inputs) > len(self._streams):
            raise ConfigurationError(f"{len(inputs)} sessions at once, the model has {len(self._streams)} streams")
        return lengths[0]
