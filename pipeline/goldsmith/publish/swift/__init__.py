"""What Swift holds of a published image, where Glance stores there."""
