"""Models: Keras definitions and the training of what is shipped."""
