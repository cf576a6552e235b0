"""Files, console and processes: everything that touches the machine."""
