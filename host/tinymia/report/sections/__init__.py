"""The sections of the page: one module each, with its template beside it."""
