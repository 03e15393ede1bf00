"""A second opinion. In: a timed schedule. Out: violations found by a replay that shares no code with it."""
