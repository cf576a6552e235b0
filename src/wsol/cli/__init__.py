"""The command wsol."""
