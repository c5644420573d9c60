"""Networks: how they are built, begun, saved, and run in one pass."""
