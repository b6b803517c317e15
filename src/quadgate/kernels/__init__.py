"""Fast implementations of the cell, and the chooser that explains its choice."""
