"""Evaluation: models × data sets to scores, tables, figures and reports."""
