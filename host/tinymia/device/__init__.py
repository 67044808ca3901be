"""Boards, real and simulated: building, flashing, and talking to them."""
