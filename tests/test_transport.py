"""The HTTP layer under what no browser sends: answered by the book or refused; it lives on."""
