"""From model to result. In: a model, inputs and a grid. Out: outputs and cycles, compared with the reference."""
