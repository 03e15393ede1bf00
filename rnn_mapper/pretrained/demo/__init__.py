"""The demonstration. In: two of the trained models and a little data. Out: bits and cycles compared, and a report."""
