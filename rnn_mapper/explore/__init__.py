"""The design space. In: models, a budget or a time limit. Out: grids and mappings, with cycles, area and devices."""
