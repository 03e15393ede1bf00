"""ONNX. In: a graph and the tensors to cut it at. Out: an imported network, cross-checked with onnxruntime."""
