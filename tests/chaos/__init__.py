"""Floods, faults and hostile peers against real processes: what must hold, what was measured.

Each row of ``rows`` is a trial with bounds. It runs in namespaces of its own (network,
mounts, processes), so that its floods and dropped packets reach nobody else and nothing
is left behind.
"""
