"""Options, image files, logging: nothing here knows a network."""
