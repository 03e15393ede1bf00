"""The demonstration: two trained networks, real input, every bit and cycle compared, area and a picture."""
