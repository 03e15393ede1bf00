"""Trained networks of PyPI packages. In: a package and real input. Out: networks, accuracy of end tasks, the demo."""
