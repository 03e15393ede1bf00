"""Trained networks of PyPI packages. In: a package and real input. Out: networks, end tasks, the demonstration."""
