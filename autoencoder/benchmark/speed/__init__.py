"""The parts of ``bench speed``: what is measured, against whom, and what the machine could do at best."""
