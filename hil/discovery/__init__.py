"""Which boards are there: on USB and, under their names, on the network. No port is opened."""
