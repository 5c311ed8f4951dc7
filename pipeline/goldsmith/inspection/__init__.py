"""What is inside an image: looked at from outside, in the appliance, without a boot."""
