"""Starts the program in a clone: ``python main.py --help`` tells the rest."""

from autoencoder.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main())
