"""``netduet watch``: for ever, and of every address behind a name.

``whom`` says which addresses, ``peer`` measures one of them, ``rounds`` are the checks
on a schedule. What is seen goes through ``episodes`` and ``diagnosis`` to ``account``,
all three pure, and from there to words, logs and metrics. ``app`` wires it together.
"""
