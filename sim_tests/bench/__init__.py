"""Bench components. In: a device under test. Out: drivers, models and random cases for the checks."""
