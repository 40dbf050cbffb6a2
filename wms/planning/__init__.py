"""Which stock, which orders together, which way to walk. Pure: knows only numbers and codes."""
