"""What is said of a picture, without training, data or audit code."""
