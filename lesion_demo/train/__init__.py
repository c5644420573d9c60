"""A run: stages of epochs that can stop and go on, and the checkpoint at its end."""
