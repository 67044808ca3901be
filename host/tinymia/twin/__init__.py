"""The twin: the firmware's own training, thousands of devices a second, the same in every bit."""
