"""Two images of guests compared: what differs, and why."""
