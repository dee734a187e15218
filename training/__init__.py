"""The loop and the recipes: what is done to a batch, when, and how it is kept."""
