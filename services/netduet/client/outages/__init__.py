"""Measures outages for any length of time, in bounded memory; judges nothing.

Three things go on side by side: a stream of datagrams each way (``datagrams``), a
fresh connection each tick (``connections``), and one old connection (``echoes``). Each
hands ``events`` to its caller as soon as they are certain, and keeps totals.
"""
