"""What a shell and a notebook show of objects that hold thousands of numbers."""

from __future__ import annotations

import numpy as np
import torch

import rnn_mapper as srnn


def test_short_in_a_shell_and_a_table_in_a_notebook() -> None:
    module = torch.nn.LSTM(8, 16)
    result = srnn.simulate(module, np.ones((4, 8)), "tiny", simulator="icarus", clock_mhz=50)
    prepared = result.prepared
    network, quantised = prepared.network, prepared.quantised
    shown = (
        result, network, network.layers[0], prepared, prepared.imported, quantised, quantised.segments[0],
        quantised.segments[0].members[0], quantised.segments[0].members[0].layers[0], prepared.mapping,
        prepared.deployment,
    )
    for one in shown:
        text = repr(one)
        assert text.startswith(f"{type(one).__name__}("), text
        assert len(text) < 400, text
        table = one._repr_html_()
        assert table.startswith("<table>")
        assert all(name in table for name in one.summary)
    assert f"{result.cycles:,}" in repr(result)
    assert "1 sequence of 4 steps" in repr(result)
    assert "at 50 MHz (clock_mhz)" in repr(result)
