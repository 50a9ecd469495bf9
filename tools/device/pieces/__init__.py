"""One file, one piece of `make device`: it defines `PIECE`."""
