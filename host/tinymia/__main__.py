"""`python -m tinymia`."""

from tinymia.cli.main import main

main()
