"""From a generator and images to scores, tables and restored files."""
