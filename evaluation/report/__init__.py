"""An evaluation on one HTML page that needs nothing but itself: tables, curves, and pictures to compare."""
