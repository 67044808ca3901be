"""The study: which devices are fine-tuned how, run on boards, journaled and resumable."""
