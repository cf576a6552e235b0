"""Everything that a package can bring to wsol, a file each."""
