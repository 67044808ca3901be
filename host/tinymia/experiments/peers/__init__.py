"""Other projects' membership attacks on the very same answers as ours: one module a project."""
