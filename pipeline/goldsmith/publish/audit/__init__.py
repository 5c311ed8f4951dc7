"""What others broke in the properties of a cloud's images."""
