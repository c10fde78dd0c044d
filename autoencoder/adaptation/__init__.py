"""Adaptation: when a stream has changed for good, a better model takes the detector's place, and only then.

``adaptive`` is the detector that is replaced; ``drift`` tells a change from an event, ``schedule`` says when to train and on what,
``shadow`` trains beside the stream or in step with it, ``trial`` compares two models, ``calibration`` sets the threshold of the new one,
and ``probation`` lets the old one come back. What was done is a ``record``.
"""
