"""Training: experiments, the loop of a stage, recipes, checkpoints."""
