"""What a target is: what code is made for, where on the machine it runs, how the machine is reached."""
