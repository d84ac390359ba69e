"""A network as a graph of operators: in real numbers, in integers, and from one to the other."""
