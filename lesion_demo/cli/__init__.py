"""The commands behind `python -m lesion_demo`, one module each."""
