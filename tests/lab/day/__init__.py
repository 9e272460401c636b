"""A day of a small cluster: what no watch may report as an outage, and what it must."""
