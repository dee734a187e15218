"""An evaluation as one self-contained HTML page: tables, curves, and pictures to compare."""
