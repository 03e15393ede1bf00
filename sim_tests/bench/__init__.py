"""Benches. In: a device under test. Out: drivers, models and random cases that the checks share."""
