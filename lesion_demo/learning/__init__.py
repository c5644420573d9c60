"""From image folders to a tuned, evaluated network."""
