"""Reports of a mapping: loop nests, cycles, memory use and the proof of the accumulator's width."""

from __future__ import annotations

from typing import Any

from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.quantisation.integer_network import prove_accumulators
from rnn_mapper.schedule.phases import unit_groups
from rnn_mapper.schedule.prediction import CycleAccount, Prediction

__all__ = ["ACCOUNT_TEXTS", "account_rows", "mapping_json", "memories_left", "splits"]

#: Field of `CycleAccount` to its meaning, in the order of the report.
ACCOUNT_TEXTS = {
    "multiplying": "all multipliers busy with the model",
    "fragmentation": "multipliers idle because sizes do not divide evenly",
    "epilogue": "idle for the epilogue or the links between units and phases",
    "tail": "waiting for results of the step or layer before",
    "input": "waiting for the input vector",
    "output": "sending the last outputs, or waiting for room for them",
    "control": "the controller's own",
}


def account_rows(account: CycleAccount) -> list[tuple[str, float, float, str]]:
    """(name, cycles, share of the total, meaning) of every part of the cycle count."""
    return [
        (name, getattr(account, name), getattr(account, name) / account.total, text)
        for name, text in ACCOUNT_TEXTS.items()
    ]


def splits(mapping: Mapping) -> list[dict[str, Any]]:
    """`hu`, `ru` and `rv` of every layer (of each of its slices, where it is cut) and of the head if there is one."""
    groups = unit_groups(mapping.members)
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for phase, timing in zip(mapping.phases, mapping.timings, strict=True):
        name = groups[phase.group].name
        if phase.slice or not phase.last_slice:
            name += f" slice {phase.slice}"
        nest = timing.nest
        found[phase.group, phase.slice] = {
            "name": name, "units": phase.units, "hu": nest.hu, "ru": nest.ru, "rv": nest.rv,
        }
    return [found[key] for key in sorted(found)]


def mapping_json(mapping: Mapping, prediction: Prediction) -> dict[str, Any]:
    """Everything as JSON values; `hu`, `ru` and `rv` describe the first layer (its first slice)."""
    layers = splits(mapping)
    steps = len(prediction.step_cycles)
    return {
        "parameters": mapping.parameters.to_dict(),
        "schedule": mapping.schedule.value,
        "calibration": [network.choice.to_json() for network in dict.fromkeys(mapping.members)],
        "steps": steps,
        "cycles": {
            "total": prediction.cycles,
            "per_step": prediction.cycles / steps,
            "phases": prediction.phase_cycles,
        },
        "response": None if mapping.response is None else dict(vars(mapping.response)),
        "utilisation": prediction.utilisation,
        "hu": layers[0]["hu"],
        "ru": layers[0]["ru"],
        "rv": layers[0]["rv"],
        "layers": layers,
        "account": dict(vars(prediction.account)),
        "phases": [_phase_json(mapping, index) for index in range(len(mapping.phases))],
        "memories": [
            {"field": d.field, "what": d.what, "needed": d.needed, "available": d.available} for d in mapping.demands
        ],
        "accumulators": [
            vars(bound) for network in dict.fromkeys(mapping.members) for bound in prove_accumulators(network)
        ],
        "latencies": mapping.latencies.to_dict(),
        "input_scale": mapping.network.input_scale,
        "input_coding": None if mapping.network.coding is None else mapping.network.coding.to_json(),
        "output_scale": mapping.network.output_scale,
    }


def memories_left(mapping: Mapping) -> dict[str, tuple[int, int]]:
    """The words that this model and those before it leave free, and all words, of each memory and table.

    The keys are fields of `GridParameters`, without the state words: each unit has as many as the grid gives it.
    """
    left: dict[str, tuple[int, int]] = {}
    for demand in mapping.demands:
        if demand.field != "state_words":
            rest = min(demand.available - demand.needed, left.get(demand.field, (demand.available, 0))[0])
            left[demand.field] = rest, demand.available
    return left


def _phase_json(mapping: Mapping, index: int) -> dict[str, Any]:
    phase, timing, nest = mapping.phases[index], mapping.timings[index], mapping.timings[index].nest
    entry = next(entry for entry in mapping.entries if entry.phase == index)
    return {
        "name": phase.name,
        "hu": nest.hu,
        "ru": nest.ru,
        "rv": nest.rv,
        "chains": nest.chains,
        "units": phase.units,
        "units_per_chain": nest.max_units,
        "gates": nest.gates,
        "words": nest.words,
        "interval": timing.interval,
        "pad": timing.pad,
        "delays": list(timing.delays),
        "cycles": timing.occupied,
        "cycles_from_cleared_state": timing.fresh.occupied,
        "issue_to_next": entry.duration,
        "issue_to_next_from_cleared_state": entry.fresh_duration,
        "multiplications": phase.multiplications,
    }
