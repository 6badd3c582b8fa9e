"""Files as dlas reads and writes them: JSON with versions, arrays, keys of contents, folders."""
