"""Arrays in, figures out: metrics, intervals, bounds and tests; knows no attack and no device."""
