"""PyTorch. In: modules, `.pt` archives, state_dicts. Out: imported networks; no code of a file is run."""
