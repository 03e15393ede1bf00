"""The gateware. In: parameters of a grid. Out: Amaranth components; the modules are the blocks of the diagram."""
