"""Cycles and costs against the size of grid and model: `python -m scripts.scaling`."""
