"""`python -m rethinker`: the command line where the `rethinker` script is not on the path."""

from rethinker.cli import main

main()
