"""The design space. In: models, a budget or a limit of time. Out: grids and mappings, with cycles, area and devices."""
