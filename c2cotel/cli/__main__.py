"""`python -m c2cotel.cli` is the command `c2cotel`."""

from c2cotel.cli import main

main(prog_name="c2cotel")
