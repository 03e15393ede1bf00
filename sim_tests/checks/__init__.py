"""The cocotb tests. In: a build of a component or grid. Out: passes or fails."""
