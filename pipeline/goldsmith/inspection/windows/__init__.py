"""What is inside a Windows: its registry, read in the appliance, and a few of its files."""
