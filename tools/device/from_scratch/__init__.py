"""Piece 4: five pretrainings from scratch, as long as the device is lent, through the suite's own command."""
