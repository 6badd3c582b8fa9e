"""What code is made for, and the machine as it is found."""
