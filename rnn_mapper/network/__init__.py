"""Float networks. In: tensors of layers and their cells. Out: checked networks, and their float outputs."""
