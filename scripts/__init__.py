"""Measurements and pictures; each runs as `python -m scripts.NAME` from the root of the project."""
