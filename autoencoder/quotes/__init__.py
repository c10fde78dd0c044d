"""Prices: judged by returns in units of the volatility before them, told in prices."""
