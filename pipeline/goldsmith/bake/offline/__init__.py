"""An existing image, customised through libguestfs without booting it: the same elements, in the appliance."""
