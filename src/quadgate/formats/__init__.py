"""Files of other frameworks: one reader for each format, none of which runs anything from a file."""
