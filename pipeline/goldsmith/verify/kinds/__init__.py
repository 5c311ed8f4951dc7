"""The kinds of checks: each has a closed model and one function that returns what does not hold."""
