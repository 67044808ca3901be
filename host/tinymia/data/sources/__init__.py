"""Where data come from: one file a source, with ``SOURCES``, see :mod:`tinymia.data.source`."""
