"""The report of the demonstration, for a reader who knows neither the project nor the hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hdl.synthesis.report import SynthesisReport
from rnn_mapper.mapping.mapping import Mapping
from rnn_mapper.pretrained.demo.pronunciation import PronunciationDemo
from rnn_mapper.pretrained.demo.speech import SpeechDemo
from rnn_mapper.pretrained.outcome import CLOCK_HZ
from rnn_mapper.pretrained.silero import FRAME, SAMPLE_RATE, THRESHOLD
from rnn_mapper.report.mapping import account_rows, splits
from rnn_mapper.summary import counted

__all__ = ["DemoReport"]


@dataclass(frozen=True, eq=False)
class DemoReport:
    """Everything that the demonstration found."""

    speech: SpeechDemo
    pronunciation: PronunciationDemo
    area: SynthesisReport
    seconds: float

    @property
    def is_exact(self) -> bool:
        """Every bit and every cycle count is as expected."""
        return self.speech.comparison.is_exact and self.pronunciation.simulated.is_exact

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "exact": self.is_exact,
            "speech": self.speech.to_json(),
            "pronunciation": self.pronunciation.to_json(),
            "area": {"grid": self.speech.grid, **self.area.to_json()},
            "seconds": self.seconds,
        }

    def markdown(self, picture: str | None = "schedule.svg") -> str:
        """The report as Markdown, with a link to the picture unless that is None."""
        verdict = (
            "**Every output bit equals the reference and every cycle count equals the prediction.**" if self.is_exact
            else "**FAILED: some outputs or cycle counts are not as expected, see below.**"
        )
        return "\n".join([
            "# Trained recurrent networks on generated hardware",
            "",
            "Two networks that others trained were quantised to 8 bits, placed on grids whose Verilog was just "
            "generated, and run in Verilator on real input. Every output was compared, bit by bit, with plain "
            "integer arithmetic in numpy, and the number of clock cycles with the mapper's prediction.",
            "",
            verdict,
            "",
            *self._speech(picture),
            *self._pronunciation(),
            *self._area(),
            "## In your own hands",
            "",
            "    spatial-rnn simulate --model your_lstm.npz --input your_input.npy",
            "",
            f"This took {self.seconds:.0f} s. All figures are in report.json.",
            "",
        ])

    def _speech(self, picture: str | None) -> list[str]:
        demo, comparison = self.speech, self.speech.comparison
        frames, per_step = demo.frames, comparison.cycles_simulated / demo.frames
        rows = [
            f"| {name} | {cycles:,.0f} | {share:.1%} | {text} |"
            for name, cycles, share, text in account_rows(comparison.prediction.account)
        ]
        return [
            "## 1. Is someone speaking? The LSTM of Silero VAD",
            "",
            f"espeak-ng spoke two sentences, {frames * FRAME / SAMPLE_RATE:.1f} s of audio with pauses. The detector's "
            "encoder and decoder ran in onnxruntime, its LSTM (128 inputs, 128 hidden units) on "
            f"{_grid(demo.mapping)}.",
            "",
            "| | |",
            "|---|---|",
            f"| outputs compared | {comparison.outputs.size:,} values of 16 bits, {comparison.mismatches} differ |",
            f"| cycles | {comparison.cycles_simulated:,} simulated, {comparison.cycles_predicted:,} predicted |",
            f"| one step | {per_step:.1f} cycles, {per_step / CLOCK_HZ * 1e9:.0f} ns at 1 GHz (assumed), "
            f"for a frame of {1000 * FRAME / SAMPLE_RATE:.0f} ms |",
            f"| multipliers busy | {comparison.prediction.utilisation:.1%} of the time |",
            f"| error of h against float | {demo.error.rms:.4f} RMS (h itself has {demo.error.signal_rms:.2f}) |",
            f"| decisions (threshold {THRESHOLD}) | {demo.frames_of_speech} of {frames} frames are speech; "
            f"{demo.decisions.flipped} decided differently by the original float model |",
            "",
            f"    original model  {_strip(demo.decisions.original)}",
            f"    LSTM on grid    {_strip(demo.decisions.grid)}",
            "",
            "Each character is four frames: `#` speech, `.` none.",
            "",
            "Where the cycles go:",
            "",
            "| part | cycles | share | |",
            "|---|---:|---:|---|",
            *rows,
            "",
            *([f"![The schedule on the grid: what each column multiplies when]({picture})", ""] if picture else []),
        ]

    def _pronunciation(self) -> list[str]:
        demo = self.pronunciation
        lines = [
            "## 2. How is it pronounced? The two GRUs of g2p_en",
            "",
            f"An encoder GRU reads letters, a decoder GRU (256 hidden units each) writes phonemes, starting from the "
            f"state that the encoder left, which was loaded over the bus. Both ran on {_grid(demo.encoder)}.",
            "",
            f"{demo.simulated.outputs:,} outputs compared, {demo.simulated.mismatches} differ; {demo.changed} of "
            f"{len(demo.words)} words differ from floating point.",
            "",
            "| word | phonemes from the grid | cycles, encoder + decoder | as predicted |",
            "|---|---|---:|---|",
        ]
        for word in demo.words:
            exact = word.encoder.is_exact and word.decoder.is_exact
            note = "" if word.got == word.wanted else f" (float: {word.wanted})"
            cycles = f"{word.encoder.cycles_simulated:,} + {word.decoder.cycles_simulated:,}"
            lines.append(f"| {word.text} | {word.got}{note} | {cycles} | {'yes' if exact else 'NO'} |")
        return [*lines, ""]

    def _area(self) -> list[str]:
        total = self.area.total()
        gates = total.gate_equivalents or 0.0
        lines = [
            "## 3. How large is it?",
            "",
            f"Yosys synthesised every module of the {self.speech.grid} grid once and multiplied by its instances: "
            f"{gates:,.0f} gate equivalents (NAND2), {total.flip_flops:,} flip-flops, "
            f"{total.memory_bits / 8 / 1024:,.0f} KiB of memory.",
            "",
            f"- multipliers {total.multipliers / gates:.0%}, adders {total.adders / gates:.0%}, "
            f"everything else {total.overhead / gates:.0%}",
        ]
        if self.area.pcu_overhead_ratio is not None:
            lines.append(
                f"- a compute unit (PCU) takes {self.area.pcu_overhead_ratio:.0%} more than a bare dot product of its "
                f"{self.speech.mapping.parameters.lanes} lanes, for requantisation, activation functions and the "
                "cell's arithmetic, which do not grow with the lanes"
            )
        return [*lines, ""]


def _grid(mapping: Mapping) -> str:
    p, split = mapping.parameters, splits(mapping)[0]
    return (
        f"a grid of {p.rows} x {p.cols} sites with {p.lanes} multipliers each ({p.multipliers:,}); {split['hu']} "
        f"hidden units are computed at once, each matrix row by {counted(split['ru'], 'site')}"
    )


def _strip(probabilities: Any) -> str:
    """Four frames a character, speech if most of them are."""
    speech = probabilities > THRESHOLD
    return "".join("#" if part.mean() >= 0.5 else "." for part in (speech[i : i + 4] for i in range(0, len(speech), 4)))
