"""One module for each thing an operator does. Flows do not import each other."""
