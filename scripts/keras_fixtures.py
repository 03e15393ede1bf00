"""Small Keras models as ONNX, with the outputs of Keras itself: tests/data/keras_*.onnx and .npz.

Keras is no dependency of the project. In a separate environment (which has no click, so arguments are plain):

    python -m venv build/keras-venv
    build/keras-venv/bin/pip install tensorflow-cpu==2.21.0 tf2onnx==1.17.0 tf_keras==2.21.0
    build/keras-venv/bin/python scripts/keras_fixtures.py tests/data

Weights are random. Names begin with keras3 (Keras 3, by tf2onnx or by its own ``export(format="onnx")``) or keras2
(``tf_keras``, by tf2onnx).
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

STEPS, FEATURES = 7, 4
#: Layers that tf2onnx converts wrongly: of a TimeDistributed of Keras 3 only the first step is left.
LEFT_OUT = {("keras3", "time_distributed")}
#: Layers whose graph differs when it comes from Keras 2.
KERAS_2 = {"gru_reset_after", "gru_reset_before", "simple_rnn", "time_distributed", "hard_sigmoid"}


def models(keras: Any) -> dict[str, Any]:
    """Layers by the name of the fixture."""
    layers = keras.layers
    every = {"return_sequences": True}
    return {
        "lstm_last_dense": [layers.LSTM(5, **every), layers.LSTM(3), layers.Dense(2, activation="softmax")],
        "lstm_relu_no_bias": [layers.LSTM(5, activation="relu", use_bias=False, **every)],
        "gru_reset_after": [layers.GRU(5, **every), layers.Dense(3)],
        "gru_reset_before": [layers.GRU(5, reset_after=False, **every)],
        "gru_last": [layers.GRU(5, activation="relu"), layers.Dense(2)],
        "simple_rnn": [layers.SimpleRNN(5, **every), layers.SimpleRNN(3, activation="relu", **every)],
        "bidirectional_lstm": [layers.Bidirectional(layers.LSTM(3, **every)), layers.Dense(2, activation="tanh")],
        "bidirectional_gru_sum": [layers.Bidirectional(layers.GRU(3, **every), merge_mode="sum")],
        "bidirectional_last": [layers.Bidirectional(layers.LSTM(3)), layers.Dense(2)],
        "go_backwards": [layers.LSTM(5, go_backwards=True, **every)],
        "time_distributed": [layers.LSTM(5, **every), layers.TimeDistributed(layers.Dense(3, activation="sigmoid"))],
        "batch_normalisation": [
            layers.Dense(6, activation="relu"), layers.LSTM(5, dropout=0.2, **every), layers.BatchNormalization(),
            layers.Dropout(0.3), layers.Dense(2),
        ],
        "hard_sigmoid": [layers.LSTM(5, recurrent_activation="hard_sigmoid", **every)],
    }


def main(folder: Path, only: list[str]) -> None:
    """Write the fixtures."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["CUDA_VISIBLE_DEVICES"] = "3", ""
    # The environment of the project does not have them.
    keras, tf, tf2onnx, tf_keras = map(importlib.import_module, ("keras", "tensorflow", "tf2onnx", "tf_keras"))
    folder.mkdir(parents=True, exist_ok=True)
    for version, library in (("keras3", keras), ("keras2", tf_keras)):
        for name, layers in models(library).items():
            wanted = (version, name) not in LEFT_OUT if version == "keras3" else name in KERAS_2
            if not wanted or (only and name not in only):
                continue
            model = library.Sequential([library.Input((None, FEATURES)), *layers])
            rng = np.random.default_rng(3)
            for weight in model.weights:
                if weight.dtype == "float32" or getattr(weight.dtype, "name", "") == "float32":
                    values = rng.uniform(-0.6, 0.6, weight.shape)
                    label = getattr(weight, "path", weight.name)
                    weight.assign(np.abs(values) + 0.3 if "variance" in label else values)
            inputs = rng.normal(size=(1, STEPS, FEATURES)).astype(np.float32)
            outputs = np.asarray(model(inputs, training=False))
            path = folder / f"{version}_{name}.onnx"
            if version == "keras3" and name in ("bidirectional_last", "go_backwards"):
                model.export(str(path), format="onnx", verbose=False)
            else:
                signature = (tf.TensorSpec((None, None, FEATURES), tf.float32, name="x"),)

                def call(x: Any, model: Any = model) -> Any:
                    return model(x, training=False)

                function = tf.function(call, input_signature=signature)
                tf2onnx.convert.from_function(function, input_signature=signature, opset=17, output_path=str(path))
            np.savez_compressed(path.with_suffix(".npz"), inputs=inputs[0], outputs=outputs[0])
            print(path, path.stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
