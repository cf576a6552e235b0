"""`python -m wsol` is the command `wsol`; torchrun starts it so."""

from wsol.cli.app import main

main()
