"""Publishing to Glance: upload out of sight, verify, one switch; and the way back."""
