"""DeepFilterNet3. In: the package's ONNX graphs and noisy sound. Out: its networks, and the sound without noise."""
