"""PyTorch. In: modules, `.pt` archives, state_dicts. Out: imported networks; no code of a file is run.

PyTorch is optional and needed for modules only: functions that take one import it.
"""
