"""Cycle-accurate model of the image loader, from the contract of `hdl.grid.image_loader`."""

from __future__ import annotations

from collections import Counter, abc

from hdl.grid.image_loader import HEADER_BYTES, LOAD_CHECK, load_header_layout
from hdl.layouts import Memory, memory_shape
from hdl.parameters import GridParameters
from rnn_mapper.mapping.images import LayoutPacker

__all__ = ["EVENTS", "LoaderModel"]

#: Outputs that are high for one cycle.
EVENTS = (
    "begun", "begun_state", "finished", "finished_state", "failed", "load_while_busy", "load_header", "load_address",
    "load_framing",
)
_STATES = (Memory.STATE, Memory.VECTOR)


class LoaderModel:
    """A loader; `cycle` gives its outputs, with the fields of a word that it writes."""

    def __init__(self, parameters: GridParameters) -> None:
        self.parameters = parameters
        self.packer = LayoutPacker(load_header_layout())
        self.head_beats = -(-HEADER_BYTES // parameters.beat_bytes)
        #: "header", "check", "compare", "begin", "data" or "drop".
        self.state = "header"
        self.header: list[int] = []
        self.fields: dict[str, int] = {}
        self.place = 0
        self.of_state = False
        #: Counts of events, for a test that must cover all of them.
        self.seen: Counter[str] = Counter()

    def cycle(self, inputs: abc.Mapping[str, int]) -> dict[str, int]:
        """The outputs of the cycle with these inputs; then the clock edge at its end."""
        outputs = dict.fromkeys((*EVENTS, "tready", "loading", "word_valid", "schedule_write"), 0)
        valid, last, abort = inputs["tvalid"], inputs["tlast"], inputs["abort"]
        if self.state == "header":
            outputs |= {"tready": 1, "loading": int(bool(self.header))}
            under_way = bool(self.header)
            if valid:
                self.header.append(inputs["tdata"])
            if (valid and last) or (abort and under_way):
                outputs["load_framing"] = 1
                self.header = []
            elif len(self.header) == self.head_beats:
                self.state = "check"
        elif self.state in ("check", "compare"):
            outputs["loading"] = 1
            self.state = "compare" if self.state == "check" else "begin"
            if abort:
                outputs["load_framing"] = 1
                self.header, self.state = [], "header"
        elif self.state == "begin":
            outputs["loading"] = 1
            self._check(inputs, outputs)
            self.header = []
        elif self.state == "data":
            outputs["loading"] = 1
            self._data(inputs, outputs)
        else:
            outputs["tready"] = 1
            if (valid and last) or abort:
                self.state = "header"
        for name in EVENTS:
            self.seen[name] += outputs[name]
            self.seen[f"{name} by abort"] += outputs[name] and abort
        return outputs

    def _check(self, inputs: abc.Mapping[str, int], outputs: dict[str, int]) -> None:
        p = self.parameters
        value = sum(beat << index * p.beat_bits for index, beat in enumerate(self.header)) % (1 << 8 * HEADER_BYTES)
        fields = self.packer.unpack(value)
        words = [value >> 32 * index & 0xFFFFFFFF for index in range(4)]
        known = fields["memory"] in list(Memory)
        depth = memory_shape(p, Memory(fields["memory"]))[1] if known else 0
        state = fields["memory"] in _STATES
        if inputs["busy"]:
            outputs["load_while_busy"] = 1
        elif words[0] ^ words[1] ^ words[2] ^ words[3] != LOAD_CHECK or fields["reserved"]:
            outputs["load_header"] = 1
        elif (
            fields["words"] == 0 or fields["word"] + fields["words"] > depth
            or (not fields["all_rows"] and fields["row"] >= p.rows)
            or (not fields["all_cols"] and fields["col"] >= p.cols)
        ):
            outputs["load_address"] = 1
        elif inputs["abort"]:
            outputs["load_framing"] = 1
        else:
            outputs |= {"begun": 1, "begun_state": int(state and inputs["model_loaded"])}
            self.of_state = bool(outputs["begun_state"])
        self.fields, self.place = fields, 0
        self.state = "header" if inputs["abort"] else "data" if outputs["begun"] else "drop"

    def _data(self, inputs: abc.Mapping[str, int], outputs: dict[str, int]) -> None:
        memory = Memory(self.fields["memory"])
        beats = memory_shape(self.parameters, memory)[2]
        site = memory != Memory.SCHEDULE
        ready = inputs["taken"] or not site
        outputs |= {
            "tready": int(ready), "word_valid": int(inputs["tvalid"] and site),
            "schedule_write": int(inputs["tvalid"] and not site),
        }
        word, beat = divmod(self.place, beats)
        if inputs["tvalid"]:
            outputs |= {"at_word": self.fields["word"] + word, "at_beat": beat}
        accepted = inputs["tvalid"] and ready
        last = self.place == self.fields["words"] * beats - 1
        self.place += accepted
        if accepted and last and inputs["tlast"]:
            outputs |= {"finished": 1, "finished_state": int(self.of_state)}
            self.state = "header"
        elif inputs["abort"] or (accepted and (last or inputs["tlast"])):
            outputs |= {"failed": 1, "load_framing": 1}
            self.seen["failed inside a word"] += beat < beats - 1
            self.seen["failed for a tlast that is missing"] += accepted and last and not inputs["tlast"]
            self.state = "drop" if accepted and not inputs["tlast"] and not inputs["abort"] else "header"
