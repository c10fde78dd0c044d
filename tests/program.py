from helpers.cli import *  # noqa: F403
