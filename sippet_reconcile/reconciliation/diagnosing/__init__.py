"""What is wrong with the data as a whole, said before any difference."""
