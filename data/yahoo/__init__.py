"""Prices from Yahoo Finance through yfinance: a deadline, typed errors and a cache around the real client."""

from data.yahoo.source import YahooSource

__all__ = ["YahooSource"]
