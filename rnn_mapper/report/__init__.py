"""What people read. In: mappings, predictions, accuracies. Out: listings, tables, metrics and pictures."""
