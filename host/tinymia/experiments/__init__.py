"""One file a question: each turns evidence into a finding."""
