"""Floats to integers. In: a network and calibration inputs. Out: an integer network, its reference and its accuracy."""
