"""Placement. In: integer networks and a grid. Out: memory images, load packets, predicted cycles."""
