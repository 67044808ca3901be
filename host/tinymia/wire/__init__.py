"""What crosses the line, and training settings: what host and board must agree on."""
