"""What to build: recipes, the elements they use, and the plan with its digests."""
