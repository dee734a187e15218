"""Figures for papers and for the README: `python -m evaluation.figures --help`."""
