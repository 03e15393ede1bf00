"""Reports for people. In: mappings, predictions, accuracies. Out: listings, tables, metrics and pictures."""
