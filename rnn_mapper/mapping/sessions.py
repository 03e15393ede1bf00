"""Many client sessions on one model of a grid: the sequences and load packets that the host sends for them.

The model is mapped for a number of streams that share its schedule (`map_services`), and the same number of sessions
can advance at once. Next to the model, the grid holds a reader that sends the states of all streams (`state_reader`).
Further sessions wait in the host's memory. A load packet of a state resets the parity of the whole model, so to replace
the state of one stream the states of all streams are loaded (`replace_state`).
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
from rnn_mapper.summary import counted

__all__ = ["StreamingService", "Transport", "map_services", "replace_state"]

#: Anything that can be a key.
Session = Any


#: Runs a `BusSequence` and returns its outputs, int16 [steps, width].
Transport = Callable[[BusSequence], Int16Array]


def map_services(
    models: Sequence[QuantisedNetwork | Sequence[QuantisedNetwork]], parameters: GridParameters,
    steps: int = TYPICAL_STEPS,
) -> Deployment:
    """Place models in one grid, each followed by its reader: model k is number 2 k, its reader 2 k + 1.

    For a service with n streams list the network n times. Raises `MappingError` if something does not fit, or a model
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
    """Load packets that put `state` into stream `member` and leave the states of the other streams unchanged.

    `read` [1, width] is the reader's output, the states of all streams; no sequence of the model may have run since.
    """
    states: list[State] = list(states_read(model, read, reader))
    states[member] = state
    return load_states(model, states)


class StreamingService:
    """Sessions on one model of a resident grid whose streams are all of one network.

    Sessions are opened, advanced (`run`), read (`state`), set to another state (`restore`, `clear`) and closed, in any
    order; each sees only its own inputs and state. Between calls, the grid keeps the state of one session for each
    stream; the state is saved when another session takes its place.
    """

    def __init__(self, resident: Deployment, number: int, transport: Transport) -> None:
        self.transport = transport
        self.model, self.reader = resident.models[number], resident.models[number + 1]
        self.network = self.model.network
        if any(member is not self.network for member in self.model.members):
            raise ConfigurationError(f"model {number} has different networks, must be streams of one network")
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
        """Begin a session from a cleared state. Raises ConfigurationError if it is already open."""
        if session in self._states:
            raise ConfigurationError(f"session {session!r} is already open")
        self._states[session] = None

    def close(self, session: Session) -> None:
        """End a session."""
        self.clear(session)
        del self._states[session]

    def clear(self, session: Session) -> None:
        """The next step of the session starts from a cleared state. Nothing is sent."""
        self.restore(session, None)

    def restore(self, session: Session, state: State) -> None:
        """The next step of the session starts from `state`, which is sent with that step.

        Raises ModelError if `state` does not fit the network.
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
        """Read the states that are newer in the grid and no longer rely on the grid; for use before other memories are
        loaded."""
        self._save()
        self._streams = [None] * len(self._streams)

    def lose(self) -> list[Session]:
        """The grid has lost the states (abort, reset): all sessions go back to the host's copies of their states.

        Returns the sessions that lose steps.
        """
        lost = list(self._newer)
        self._newer.clear()
        self._streams = [None] * len(self._streams)
        return lost

    def run(self, inputs: abc.Mapping[Session, Codes]) -> dict[Session, Int16Array]:
        """Advance sessions together, each by its operand codes [steps, input_size]; returns the outputs of each.

        All sessions need the same number of steps, and there may be at most as many sessions as the model has streams.
        Raises ConfigurationError or ModelError.
        """
        steps = self._steps(inputs)
        stay = {session: place for place, session in enumerate(self._streams) if session in inputs}
        # Zero inputs would advance the sessions in the grid that do not take part.
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
        """Copy all states that are newer in the grid to the host; the grid keeps them."""
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
            raise ModelError(f"inputs have {lengths} steps, all sessions must have the same number, at least one")
        if len(inputs) > len(self._streams):
            raise ConfigurationError(f"{counted(len(inputs), 'session')} at once, the model has "
                                     f"{counted(len(self._streams), 'stream')}")
        return lengths[0]
