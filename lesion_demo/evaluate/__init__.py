"""What a network is worth: scores with intervals, calibration, operating points."""
