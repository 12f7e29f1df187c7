"""A simulated voice provider to develop against, speaking the generic contract over real HTTP."""
