"""Finds, classifies and describes outages, for the check ``stream`` and for ``watch``.

Three probes run side by side: a UDP stream in each direction (``udp_probe``), new
connections (``connect_probe``), and a long-lived one (``keepalive_probe``). Each passes
``events`` to its caller as soon as they are certain, and keeps totals in bounded
memory.
"""
