"""Searches grids and mappings: cycles, area, memory and multiplier use of many grids for the same models.

Start at `search.py`. All that is known of the mapper stands in `adapter.py`.
"""
