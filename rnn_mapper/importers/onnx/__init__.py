"""ONNX. In: a graph and the tensors to cut it at. Out: an imported network, cross-checked with onnxruntime.

The packages onnx and onnxruntime take long to load: functions that need them import them.
"""
