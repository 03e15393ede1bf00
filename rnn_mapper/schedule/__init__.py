"""Phases and cycles. In: an integer network and loop nests. Out: phases in order, durations, predicted cycles."""
