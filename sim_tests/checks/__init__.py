"""cocotb tests. In: a build of a component or grid. Out: pass or fail."""
