"""The demonstration. In: two trained networks. Out: bits and cycles compared, area, a report and a picture."""
