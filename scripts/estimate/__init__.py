"""Area and energy of the paper-size grid at 28 nm: `python -m scripts.estimate`."""
