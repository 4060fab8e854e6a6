"""What is in these legs, and what should somebody look at? Counted, said in sentences, and drawn."""
