"""The ten DeepBench points of the seed paper, in RTL: `python -m scripts.deepbench`."""
