"""Random input for every parser, without end: ``make fuzz``.

A target takes bytes and raises when a promise is broken. Its seeds are in ``corpus``;
what is found is added there, and the unit tests replay all seeds.
"""
