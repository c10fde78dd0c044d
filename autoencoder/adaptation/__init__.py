"""Adaptation: replaces the model of a stream when the stream has changed for good and a better model is at hand.

``detector`` cuts the stream into blocks, ``updater`` decides after each block, and every other module is one step of that decision.
"""
