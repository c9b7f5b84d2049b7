"""`python -m manycast`."""

from manycast.cli import main

main()
