"""A recipe as user-data: the same elements, applied at first boot to an image that nobody may rebuild."""
