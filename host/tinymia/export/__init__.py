"""Export: int8 conversion, the bundle file, and writing a trained tail back into a model."""
