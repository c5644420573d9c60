"""What moves the verdicts of a checkpoint and should not, and what is held back."""
