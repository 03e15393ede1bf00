"""The demonstration on one small grid: both networks end to end, and their report."""

from dataclasses import replace
from pathlib import Path

import pytest

from hdl.synthesis.report import ModuleArea, SynthesisReport
from rnn_mapper.pretrained.demo.pronunciation import PronunciationDemo, run_pronunciation
from rnn_mapper.pretrained.demo.report import DemoReport
from rnn_mapper.pretrained.demo.speech import SpeechDemo, run_speech


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> SpeechDemo:
    return run_speech(tmp_path_factory.mktemp("speech"), lambda text: None)


@pytest.fixture(scope="module")
def pronunciation(tmp_path_factory: pytest.TempPathFactory) -> PronunciationDemo:
    # On the same grid, so that one simulation build serves both.
    return run_pronunciation(tmp_path_factory.mktemp("words"), lambda text: None, "medium", ("light", "network"))


@pytest.fixture
def report(speech: SpeechDemo, pronunciation: PronunciationDemo) -> DemoReport:
    area = ModuleArea("pcu", 16, {"$_NAND_": 7}, 1000.0, 70, 4096, multipliers=500.0, adders=250.0)
    return DemoReport(speech, pronunciation, SynthesisReport("generic", None, [area], 800.0, 0.25), 12.0)


def test_speech_is_detected_as_in_floating_point(speech: SpeechDemo) -> None:
    assert speech.comparison.is_exact
    assert speech.error.rms < 0.010
    assert speech.decisions.flipped <= 0.0025 * speech.frames + 1
    assert 0.5 < (speech.decisions.grid > 0.5).mean() < 0.95
    assert speech.comparison.prediction.utilisation > 0.99


def test_words_are_pronounced_from_the_loaded_state(pronunciation: PronunciationDemo) -> None:
    assert all(comparison.is_exact for comparison in pronunciation.simulated.comparisons)
    assert [(word.text, word.got) for word in pronunciation.words] == [
        ("light", "L AY1 T"), ("network", "N EH1 T W ER2 K"),
    ]
    assert pronunciation.changed == 0


def test_report_shows_the_figures(report: DemoReport) -> None:
    text = report.markdown()
    assert "**Every output bit equals the reference and every cycle count equals the prediction.**" in text
    cycles = report.speech.comparison.cycles_simulated
    assert f"| cycles | {cycles:,} simulated, {cycles:,} predicted |" in text
    assert "| light | L AY1 T | " in text
    assert "16,000 gate equivalents (NAND2), 1,120 flip-flops, 8 KiB of memory" in text
    assert "multipliers 50%, adders 25%, everything else 25%" in text
    assert "](schedule.svg)" in text
    assert "](" not in report.markdown(picture=None)
    values = report.to_json()
    assert values["exact"]
    assert values["speech"]["mismatches"] == values["pronunciation"]["mismatches"] == 0
    assert values["speech"]["cycles_simulated"] == values["speech"]["cycles_predicted"]


def test_report_shows_a_failure(report: DemoReport) -> None:
    comparison = report.speech.comparison
    wrong = replace(comparison, cycles_simulated=comparison.cycles_simulated + 1)
    failed = replace(report, speech=replace(report.speech, comparison=wrong))
    assert not failed.is_exact
    assert "**FAILED: some outputs or cycle counts are not as expected" in failed.markdown()


def test_demo_needs_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnn_mapper.errors import ToolError
    from rnn_mapper.pretrained import packages

    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"^package silero_vad is missing: pip install --no-deps silero-vad==6\.2\.3$"):
        run_speech(tmp_path, lambda text: None)
