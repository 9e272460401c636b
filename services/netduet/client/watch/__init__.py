"""``netduet watch``: all addresses behind the given names, until it is stopped.

``discovery`` finds the addresses, ``peer`` measures one of them, ``scheduled_checks``
runs checks on it. ``outage_tracker`` turns measurements into outages, which
``availability`` counts and ``correlation`` compares. ``notifier``, ``text`` and
``metrics`` report them. ``monitor`` wires it together.
"""
