"""What an implementation of a layer offers, one noun a file."""
