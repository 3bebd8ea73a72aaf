"""The seed of the project, as a peer: two Cython functions, one of which releases the GIL."""
