"""What ``import tinymia`` offers to programs and notebooks: the command line's jobs as functions.

Each function has the options, defaults, checks and messages of its verb, of which there is one list
(:mod:`tinymia.cli.catalogue`); so this room stands behind the command line's.
"""
